// SPDX-License-Identifier: Apache-2.0
// gcvit serve: its command line, and a server from start to SIGTERM.
#include "tests/cli/program.h"

namespace gcvit {
namespace {

TEST_F(Cli, ServeWantsAKeyWhereOthersCanConnect) {
  expect_usage_error("serve -m m.safetensors --host 0.0.0.0 --port 0", "expected --api-key-file, or --allow-anonymous");
  expect_usage_error("serve -m m.safetensors --metrics 0.0.0.0:0 --port 0", "0.0.0.0: others can connect to it");
  weights::write_text(folder / "keys", "short");
  expect_failure("serve -m m.safetensors --api-key-file keys", "keys: line 1: expected a key of 16 to 256");
}

TEST_F(Cli, ServeWantsACertificateAndItsKey) {
  expect_usage_error("serve -m m.safetensors --port 0 --tls-certificate c.pem",
                     "expected --tls-certificate and --tls-key, found one of them");
  expect_failure("serve -m m.safetensors --port 0 --tls-certificate c.pem --tls-key k.pem", "c.pem: no such file");
}

TEST_F(Cli, ServeWantsPlacesForMetrics) {
  expect_usage_error("serve -m m.safetensors --port 0 --metrics 9090",
                     "expected on, off or HOST:PORT, with an IPv6 address in brackets, found \"9090\"");
  expect_usage_error("serve -m m.safetensors --port 0 --explain ::1:80", "found \"::1:80\"");
}

TEST_F(Cli, ServeSaysWhatItCanNotServe) {
  expect_failure("serve -m none.safetensors --port 0", "none.safetensors");
  expect_failure("serve -m m.safetensors -m m.safetensors --port 0", "expected each model's name once, found m twice");
  expect_failure("serve -m 'a b=m.safetensors' --port 0", "NAME=FILE gives a model another name");
  expect_failure("serve -m m.safetensors --host 203.0.113.1 --port 0 --allow-anonymous",
                 "203.0.113.1:0: expected an address to listen on");
  expect_usage_error("serve -m m.safetensors --port 65536", "--port");
}

TEST_F(Cli, ServeProbesAServer) {
  expect_failure("serve --probe http://127.0.0.1:1", "expected a server that is ready, found: Connection refused");
  const Result result = shell(
      "\"$G\" serve -m m.safetensors --port 0 >address & server=$!; "
      "until grep -qs http address; do sleep 0.05; done; "
      "\"$G\" serve --probe $(sed 's/.* //' address); code=$?; kill -TERM $server; wait $server; exit $code");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "");
}

TEST_F(Cli, ServeTellsTheServiceManager) {
  const Result result = shell(
      "cat >manager.py <<'END'\n"
      "import os, signal, socket, subprocess\n"
      "told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
      "told.bind('notify')\n"
      "told.settimeout(60)\n"
      "environment = os.environ | {'NOTIFY_SOCKET': os.path.abspath('notify')}\n"
      "server = subprocess.Popen([os.environ['G'], 'serve', '-m', 'm.safetensors', '--port', '0'], env=environment,\n"
      "                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
      "def message():\n"
      "    print(told.recv(1000).decode().splitlines()[0])\n"
      "message()\n"
      "server.send_signal(signal.SIGHUP)\n"
      "message()\n"
      "message()\n"
      "server.send_signal(signal.SIGTERM)\n"
      "message()\n"
      "print(server.wait(60))\n"
      "END\n"
      "G=\"$G\" python3 manager.py");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "READY=1\nRELOADING=1\nREADY=1\nSTOPPING=1\n0\n");
}

TEST_F(Cli, ServeAnswersUntilItIsTerminated) {
  const Result result = shell(
      "\"$G\" serve -m m.safetensors -m other=m.safetensors --port 0 >address & server=$!; "
      "until grep -qs http address; do sleep 0.05; done; port=$(sed 's/.*://' address); "
      "python3 - $port <<'END'\n"
      "import json, sys, urllib.request\n"
      "for model in ('m', 'other'):\n"
      "    print(json.load(urllib.request.urlopen(f'http://127.0.0.1:{sys.argv[1]}/v2/models/{model}'))['name'])\n"
      "END\n"
      "kill -TERM $server; wait $server");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "m\nother\n");
  EXPECT_EQ(result.err, "gcvit: [serve] finishing what was accepted; another signal ends at once\n");
}

TEST_F(Cli, ServeOffersMetricsWhereTheyAreWanted) {
  const Result result = shell(
      "echo 0123456789abcdef >keys; "
      "\"$G\" serve -m m.safetensors --port 0 --explain off --metrics 0.0.0.0:0 --api-key-file keys >addresses & "
      "server=$!; "
      "until grep -qs metrics addresses; do sleep 0.05; done; sed 's/:[0-9]*$//' addresses; "
      "kill -TERM $server; wait $server");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "listening on http://127.0.0.1\nmetrics on http://0.0.0.0\n");
  EXPECT_TRUE(
      result.err.starts_with("gcvit: [serve] 0.0.0.0: without --tls-certificate keys cross the network as they are"))
      << result.err;
}

}  // namespace
}  // namespace gcvit
