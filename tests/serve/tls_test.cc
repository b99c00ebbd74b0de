// SPDX-License-Identifier: Apache-2.0
// The server through TLS: the same requests as server_test.cc sends plainly, and what can go wrong with encryption itself.
#include "serve/tls.h"

#include <gtest/gtest.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <thread>

#include "serve/probe.h"
#include "serve/server.h"
#include "tests/serve/refused.h"
#include "tests/serve/tiny_service.h"
#include "tests/serve/tls_client.h"

namespace gcvit::serve {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

struct TlsTest : ::testing::Test {
  TinyModel tiny;
  Notices notices;
  ServiceOptions service_options = tiny.options();
  ServerOptions options;
  TlsFiles files{.certificate = tiny.folder / "certificate.pem", .key = tiny.folder / "key.pem"};
  std::string photo = testing::blob_png(3);
  std::unique_ptr<Service> service;
  std::unique_ptr<Server> server;

  TlsTest() {
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL's client writes to connections that the server has closed
    write_pair(files, "first");
    options.listeners.front().port = 0;
    options.any_host = true;
    options.tls = files;
  }

  std::uint16_t start() {
    server.reset();
    service = std::make_unique<Service>(service_options, notices.listener());
    server = std::make_unique<Server>(*service, options);
    return server->port();
  }
  bool has_connections(std::int64_t count) const {
    for (int i = 0; i < 2000 && service->metrics().connections != count; ++i) std::this_thread::sleep_for(5ms);
    return service->metrics().connections == count;
  }
};

TEST_F(TlsTest, AnswersOneRequestAfterTheOther) {
  TlsClient client(start());
  EXPECT_EQ(server->url(), "https://127.0.0.1:" + std::to_string(server->port()));
  EXPECT_EQ(client.version(), "TLSv1.3");
  const Reply answer = client.ask(post("/v1/classify?top_k=1", photo));
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(json::parse(answer.body)["predictions"][0]["label"],
            Model::open(tiny.file).predictions(tiny.logits(photo), 1).front().label);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(client.ask(get("/v2/health/live")).body, R"({"live":true})");
  EXPECT_EQ(client.ask(post("/v1/classify", std::string(1'000'000, 'x'))).status, 415);
  EXPECT_EQ(client.ask(get("/v2")).status, 200);
}

TEST_F(TlsTest, CanBeProbed) {
  start();
  EXPECT_NO_THROW(expect_ready(server->url(), 10s));
  service->drain();
  EXPECT_THROW(expect_ready(server->url(), 10s), Error);
  EXPECT_THROW(expect_ready("http" + server->url().substr(5), 10s), Error);
}

TEST_F(TlsTest, AnswersPipelinedRequestsInOrder) {
  TlsClient client(start());
  std::string requests;
  for (int i = 1; i <= 7; ++i) {
    requests += post("/v1/classify?top_k=" + std::to_string(i), photo) + get("/v2/health/live");
  }
  client.send(requests);
  for (std::size_t i = 1; i <= 7; ++i) {
    EXPECT_EQ(json::parse(client.receive().body)["predictions"].size(), i);
    EXPECT_EQ(client.receive().body, R"({"live":true})");
  }
}

TEST_F(TlsTest, TakesBodiesPieceByPieceAndWhenAsked) {
  TlsClient client(start());
  client.send("POST /v1/classify HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (std::size_t at = 0; at < photo.size(); at += 1000) {
    const std::string piece = photo.substr(at, 1000);
    client.send(fmt::format("{:x}\r\n{}\r\n", piece.size(), piece));
  }
  EXPECT_EQ(client.ask("0\r\n\r\n").status, 200);
  client.send(fmt::format("POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
                          photo.size()));
  EXPECT_EQ(client.receive().status, 100);
  EXPECT_EQ(client.ask(photo).status, 200);
}

TEST_F(TlsTest, LetsClientsReadTheLastAnswer) {
  const std::uint16_t port = start();
  {
    TlsClient client(port);
    // The answer comes before the body has, which the client goes on sending.
    client.send("POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n");
    client.send(std::string(3'000'000, 'x'));
    EXPECT_EQ(client.receive().status, 413);
    EXPECT_TRUE(client.is_closed());
    EXPECT_TRUE(client.is_finished_by_server());
  }
  {
    TlsClient half(port);
    half.send(post("/v1/classify", photo));
    half.finish();
    EXPECT_EQ(half.receive().status, 200);
  }
  EXPECT_TRUE(has_connections(0));
}

TEST_F(TlsTest, EndsWithClientsThatVanish) {
  const std::uint16_t port = start();
  {
    TlsClient client(port);
    client.send("POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx");
    EXPECT_TRUE(has_connections(1));
  }
  EXPECT_TRUE(has_connections(0));
}

TEST_F(TlsTest, LeavesSlowClients) {
  options.idle_timeout = 100ms;
  options.header_timeout = 100ms;
  options.body_timeout = 100ms;
  const std::uint16_t port = start();
  Client silent(port);
  Client slow(port);
  slow.send(std::string_view("\x16\x03\x01\x02\x00\x01", 6));  // the beginning of a handshake
  EXPECT_TRUE(silent.is_closed());
  EXPECT_TRUE(slow.is_closed());
  TlsClient idle(port);
  TlsClient slow_head(port);
  slow_head.send("GET /v2 HTTP/1.1\r\n");
  TlsClient slow_body(port);
  slow_body.send("POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx");
  EXPECT_TRUE(idle.is_closed());
  EXPECT_TRUE(slow_head.is_closed());
  EXPECT_TRUE(slow_body.is_closed());
}

TEST_F(TlsTest, LeavesClientsThatReadNothing) {
  options.write_timeout = 200ms;
  TlsClient client(start());
  std::string requests;
  for (int i = 0; i < 2000; ++i) requests += get("/openapi.json");
  client.send(requests);  // whose answers are more than sockets keep
  EXPECT_TRUE(has_connections(0));
}

TEST_F(TlsTest, ClosesConnectionsThatAreNone) {
  const std::uint16_t port = start();
  {
    Client plain(port);
    plain.send(get("/v2"));
    const Reply reply = plain.receive();
    EXPECT_EQ(reply.status, 0) << reply.head;
    Client nonsense(port);
    nonsense.send(std::string(1000, '\xff'));
    EXPECT_EQ(nonsense.receive().status, 0);
  }
  EXPECT_TRUE(has_connections(0));
  EXPECT_NE(TlsClient(port).ask(get("/metrics")).body.find("gcvit_errors_total{reason=\"tls\"} 2\n"),
            std::string::npos);
  options.tls.reset();
  EXPECT_THROW(TlsClient{start()}, std::runtime_error);
  EXPECT_TRUE(has_connections(0));
}

TEST_F(TlsTest, HasOnlyWhatIsSafe) {
  const std::uint16_t port = start();
  EXPECT_THROW(TlsClient(port, {.most_version = TLS1_1_VERSION}), std::runtime_error);
  TlsClient older(port, {.most_version = TLS1_2_VERSION});
  EXPECT_EQ(older.version(), "TLSv1.2");
  EXPECT_EQ(older.ask(get("/v2")).status, 200);
  EXPECT_FALSE(older.renegotiate() && older.ask(get("/v2")).status == 200);
  EXPECT_EQ(TlsClient(port, {.protocols = "\x02h2\x08http/1.1"}).protocol(), "http/1.1");
  EXPECT_THROW(TlsClient(port, {.protocols = "\x02h2"}), std::runtime_error);
  EXPECT_EQ(TlsClient(port).protocol(), "");
}

TEST_F(TlsTest, TakesNewCertificatesWhileItRuns) {
  const std::uint16_t port = start();
  TlsClient before(port);
  EXPECT_EQ(before.name_of_server(), "first");
  write_pair(files, "second");
  EXPECT_EQ(TlsClient(port).name_of_server(), "first");
  server->reload_tls();
  EXPECT_EQ(TlsClient(port).name_of_server(), "second");
  EXPECT_EQ(before.ask(get("/v2")).status, 200);
  write_pair({.certificate = files.certificate, .key = tiny.folder / "other.pem"}, "third");
  EXPECT_THROW(server->reload_tls(), Error);
  EXPECT_EQ(TlsClient(port).name_of_server(), "second");
}

TEST_F(TlsTest, FinishesWhatItAcceptedBeforeItEnds) {
  service_options.batching.max_delay = 300ms;
  options.drain_grace = 50ms;
  const std::uint16_t port = start();
  auto waiting = std::make_unique<TlsClient>(port);
  waiting->send(post("/v1/classify", photo));
  TlsClient idle(port);
  while (idle.ask(get("/metrics")).body.find("gcvit_queue_images{model=\"tiny\"} 1\n") == std::string::npos) {
  }
  Client silent(port);
  EXPECT_TRUE(has_connections(3));
  server->drain();
  EXPECT_TRUE(silent.is_closed());
  EXPECT_TRUE(idle.is_closed());
  EXPECT_EQ(waiting->receive().field("Connection"), "close");
  EXPECT_TRUE(waiting->is_closed());
  EXPECT_TRUE(waiting->is_finished_by_server());
  waiting.reset();
  EXPECT_TRUE(server->wait_until_drained(20s));
}

TEST_F(TlsTest, SaysWhatIsWrongWithFiles) {
  const auto sentence = [](const std::string& certificate, const std::string& key) {
    return refused([&] { Tls({.certificate = certificate, .key = key}); }).substr(4);
  };
  const std::string other = tiny.folder / "other.pem";
  const std::string locked = tiny.folder / "locked.pem";
  const std::string unused = tiny.folder / "unused.pem";
  write_pair({.certificate = unused, .key = other}, "other");
  write_pair({.certificate = unused, .key = locked}, "other", "password");
  EXPECT_EQ(sentence(files.certificate, files.key), "pted");  // accepted
  EXPECT_EQ(sentence("none.pem", files.key), "[serve] none.pem: no such file");
  EXPECT_EQ(sentence(files.key, files.key),
            fmt::format("[serve] {}: expected a chain of certificates in PEM, found: another kind of file", files.key));
  EXPECT_EQ(sentence(files.certificate, files.certificate),
            fmt::format("[serve] {}: expected a private key in PEM without a password, found another kind of file",
                        files.certificate));
  EXPECT_EQ(
      sentence(files.certificate, locked),
      fmt::format("[serve] {}: expected a private key in PEM without a password, found one with a password", locked));
  EXPECT_EQ(sentence(files.certificate, other),
            fmt::format("[serve] {}: expected the key of {}, found another one", other, files.certificate));
  weights::write_text(other, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
  EXPECT_TRUE(sentence(files.certificate, other).starts_with("[serve] " + other + ": expected a private key in PEM"));
}

}  // namespace
}  // namespace gcvit::serve
