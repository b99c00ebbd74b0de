// SPDX-License-Identifier: Apache-2.0
// gcvit serve: its command line, and a server from start to SIGTERM.
#include "tests/cli/program.h"

namespace gcvit {
namespace {

TEST_F(Cli, ServeWantsAKeyWhereOthersCanConnect) {
  expect_usage_error("serve -m m.safetensors --host 0.0.0.0 --port 0", "expected --api-key-file, or --allow-anonymous");
  weights::write_text(folder / "keys", "short");
  expect_failure("serve -m m.safetensors --api-key-file keys", "keys: line 1: expected a key of 16 to 256");
}

TEST_F(Cli, ServeSaysWhatItCanNotServe) {
  expect_failure("serve -m none.safetensors --port 0", "none.safetensors");
  expect_failure("serve -m m.safetensors -m m.safetensors --port 0", "expected each model's name once, found m twice");
  expect_failure("serve -m 'a b=m.safetensors' --port 0", "NAME=FILE gives a model another name");
  expect_failure("serve -m m.safetensors --host 203.0.113.1 --port 0 --allow-anonymous",
                 "203.0.113.1:0: expected an address to listen on");
  expect_usage_error("serve -m m.safetensors --port 65536", "--port");
}

TEST_F(Cli, ServeAnswersUntilItIsTerminated) {
  const Result result = shell(
      "\"$G\" serve -m m.safetensors -m other=m.safetensors --port 0 >address & server=$!; "
      "until grep -q http address; do sleep 0.05; done; port=$(sed 's/.*://' address); "
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

}  // namespace
}  // namespace gcvit
