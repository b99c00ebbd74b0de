// SPDX-License-Identifier: Apache-2.0
// The server on real sockets, asked by a client that sends what it likes.
#include "serve/server.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "tests/serve/client.h"
#include "tests/serve/tiny_service.h"

namespace gcvit::serve {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

struct ServerTest : ::testing::Test {
  TinyModel tiny;
  Notices notices;
  ServiceOptions service_options = tiny.options();
  ServerOptions options;
  std::string photo = testing::blob_png(3);
  std::unique_ptr<Service> service;
  std::unique_ptr<Server> server;

  ServerTest() {
    options.listeners.front().port = 0;
    options.any_host = true;  // tests ask for whatever host they like
  }

  std::uint16_t start() {
    server.reset();
    service = std::make_unique<Service>(service_options, notices.listener());
    server = std::make_unique<Server>(*service, options);
    return server->port();
  }
};

TEST_F(ServerTest, AnswersOneRequestAfterTheOtherOnAConnection) {
  Client client(start());
  const Reply live = client.ask(get("/v2/health/live"));
  EXPECT_EQ(live.status, 200);
  EXPECT_EQ(live.field("Content-Type"), "application/json");
  EXPECT_EQ(live.field("Connection"), "");
  EXPECT_EQ(live.field("X-Content-Type-Options"), "nosniff");
  EXPECT_NE(live.field("Date").find(" GMT"), std::string::npos);
  const Reply answer = client.ask(post("/v1/classify?top_k=1", photo));
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(json::parse(answer.body)["predictions"][0]["label"],
            Model::open(tiny.file).predictions(tiny.logits(photo), 1).front().label);
  EXPECT_EQ(client.ask(get("/nothing")).status, 404);
  EXPECT_EQ(client.ask(get("/v2")).status, 200);
}

TEST_F(ServerTest, SendsNoBodyOfWhatABrowserHas) {
  Client client(start());
  const Reply page = client.ask(get("/"));
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.field("Cache-Control"), "no-cache");
  client.send(get("/", "If-None-Match: " + page.field("ETag") + "\r\n"));
  const Reply same = client.receive(true);
  EXPECT_EQ(same.status, 304);
  EXPECT_EQ(same.field("ETag"), page.field("ETag"));
  EXPECT_EQ(client.ask(get("/v2/health/live")).status, 200);  // the connection is still in step
}

TEST_F(ServerTest, AnswersPipelinedRequestsInOrder) {
  Client client(start());
  std::string requests;
  for (int i = 1; i <= 7; ++i)
    requests += post("/v1/classify?top_k=" + std::to_string(i), photo) + get("/v2/health/live");
  client.send(requests);
  for (std::size_t i = 1; i <= 7; ++i) {
    EXPECT_EQ(json::parse(client.receive().body)["predictions"].size(), i);
    EXPECT_EQ(client.receive().body, R"({"live":true})");
  }
}

TEST_F(ServerTest, TakesChunkedBodiesPieceByPiece) {
  Client client(start());
  client.send("POST /v1/classify HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (std::size_t at = 0; at < photo.size(); at += 1000) {
    const std::string piece = photo.substr(at, 1000);
    client.send(fmt::format("{:x};name=value\r\n", piece.size()));
    client.send(piece + "\r\n");
  }
  client.send("0\r\nTrailer: x\r\n\r\n");
  EXPECT_EQ(client.receive().status, 200);
  EXPECT_EQ(client.ask(get("/v2")).status, 200);
  EXPECT_EQ(client.ask("POST /v1/classify HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n").status,
            400);
  EXPECT_TRUE(client.is_closed());
}

TEST_F(ServerTest, SpeaksTheOldVersion) {
  const std::uint16_t port = start();
  Client client(port);
  const Reply reply = client.ask("GET /v2/health/live HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(reply.head.starts_with("HTTP/1.0 200")) << reply.head;
  EXPECT_TRUE(client.is_closed());
  Client lasting(port);
  EXPECT_EQ(lasting.ask("GET /v2/health/live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").field("Connection"),
            "keep-alive");
  EXPECT_EQ(lasting.ask(get("/v2", "Connection: close\r\n")).field("Connection"), "close");
  EXPECT_TRUE(lasting.is_closed());
}

TEST_F(ServerTest, AnswersHeadWithoutABody) {
  Client client(start());
  const std::string length = client.ask(get("/v2")).field("Content-Length");
  client.send("HEAD /v2 HTTP/1.1\r\nHost: a\r\n\r\n");
  const Reply reply = client.receive(true);
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.field("Content-Length"), length);
  EXPECT_EQ(client.ask(get("/v2/health/live")).body, R"({"live":true})");
}

TEST_F(ServerTest, AsksForABodyThatWaits) {
  Client client(start());
  const std::string head = fmt::format("Content-Length: {}\r\nExpect: 100-continue\r\n\r\n", photo.size());
  client.send("POST /v1/classify HTTP/1.1\r\nHost: a\r\n" + head);
  EXPECT_EQ(client.receive().status, 100);
  EXPECT_EQ(client.ask(photo).status, 200);
  client.send("POST /nothing HTTP/1.1\r\nHost: a\r\n" + head);
  EXPECT_EQ(client.receive().status, 404);  // without a byte of the body
  EXPECT_TRUE(client.is_closed());
}

TEST_F(ServerTest, RefusesRequestsThatHideAnother) {
  const std::uint16_t port = start();
  const std::string hidden = get("/v2");
  for (const char* const fields :
       {"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
        "Content-Length: 0\r\nContent-Length: 6\r\n", "Transfer-Encoding: x\r\n", "Transfer-Encoding: chunked, x\r\n",
        "Content-Length : 6\r\n", "Content-Length: 1 6\r\n"}) {
    Client client(port);
    client.send("POST /v1/classify HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n0\r\n\r\n" + hidden);
    const Reply reply = client.receive();
    EXPECT_EQ(reply.status, 400) << fields;
    EXPECT_EQ(reply.field("Connection"), "close") << fields;
    EXPECT_TRUE(client.is_closed()) << fields;
  }
}

TEST_F(ServerTest, HasLimits) {
  service_options.max_body = 5000;
  options.max_header = 1000;
  const std::uint16_t port = start();
  const auto status_of = [&](const std::string& request) {
    Client client(port);
    const Reply reply = client.ask(request);
    EXPECT_TRUE(json::parse(reply.body).contains("error")) << reply.body;
    EXPECT_TRUE(client.is_closed());
    return reply.status;
  };
  EXPECT_EQ(status_of("POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Length: 5001\r\n\r\n"), 413);
  EXPECT_EQ(status_of("POST /v1/classify HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1389\r\n" +
                      std::string(5001, 'x') + "\r\n0\r\n\r\n"),
            413);
  EXPECT_EQ(status_of("GET /v2 HTTP/1.1\r\nHost: a\r\nX: " + std::string(2000, 'x') + "\r\n\r\n"), 431);
  EXPECT_EQ(status_of("nonsense\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET /v2 HTTP/2.0\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(status_of(get("/v2").substr(0, 20) + "\r\n\r\n"), 400);
}

TEST_F(ServerTest, BoundsTheBodiesThatAreThereAtOneTime) {
  options.max_buffered = 100'000;
  const std::uint16_t port = start();
  Client first(port);
  const auto head = [](std::size_t bytes) {
    return fmt::format("POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
                       bytes);
  };
  EXPECT_EQ(first.ask(head(90'000)).status, 100);
  Client second(port);
  Reply reply = Client(port).ask(head(20'000));
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(reply.field("Retry-After"), "1");
  EXPECT_EQ(second.ask(post("/v1/classify", photo)).status, 200);
  first.send(std::string(90'000, 'x'));
  EXPECT_EQ(first.receive().status, 415);
  reply.status = 503;
  for (int i = 0; i < 1000 && reply.status == 503; ++i) {  // until the first one's bytes are given back
    reply = Client(port).ask(post("/v1/classify", std::string(95'000, 'x')));
  }
  EXPECT_EQ(reply.status, 415);
}

TEST_F(ServerTest, LeavesSlowClients) {
  options.idle_timeout = 100ms;
  options.header_timeout = 100ms;
  options.body_timeout = 100ms;
  const std::uint16_t port = start();
  Client idle(port);
  Client slow_head(port);
  slow_head.send("GET /v2 HTTP/1.1\r\n");
  Client slow_body(port);
  slow_body.send("POST /v1/classify HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx");
  EXPECT_TRUE(idle.is_closed());
  EXPECT_TRUE(slow_head.is_closed());
  EXPECT_TRUE(slow_body.is_closed());
  // One that sends a byte now and then gets no more time for that.
  Client loris(port);
  const auto began = Clock::now();
  loris.send("GET /v2 HTTP/1.1\r\n");
  while (Clock::now() - began < 20s && loris.send("X: y\r\n") && !loris.is_closed(10)) {
  }
  EXPECT_LT(Clock::now() - began, 10s);
}

TEST_F(ServerTest, RefusesAtOnceWhenItsQueueIsFull) {
  service_options.batching.queue = 2;
  service_options.batching.max_delay = 1s;  // in which the first two wait for more
  const std::uint16_t port = start();
  Client first(port);
  Client second(port);
  first.send(post("/v1/classify", photo));
  second.send(post("/v1/classify", photo));
  Client third(port);
  while (third.ask(get("/metrics")).body.find("gcvit_queue_images{model=\"tiny\"} 2\n") == std::string::npos) {
  }
  const Reply reply = third.ask(post("/v1/classify", photo));
  EXPECT_EQ(reply.status, 503) << reply.body;
  EXPECT_EQ(reply.field("Retry-After"), "1");
  EXPECT_EQ(json::parse(reply.body)["error"], "[serve] tiny: its queue is full; try again later");
  EXPECT_EQ(first.receive().status, 200);
  EXPECT_EQ(second.receive().status, 200);
  EXPECT_EQ(third.ask(post("/v1/classify", photo)).status, 200);
  const std::string metrics = third.ask(get("/metrics")).body;
  EXPECT_NE(metrics.find("gcvit_errors_total{reason=\"queue_full\"} 1\n"), std::string::npos) << metrics;
  EXPECT_NE(metrics.find("gcvit_requests_total{route=\"/v1/classify\",status=\"503\"} 1\n"), std::string::npos)
      << metrics;
}

TEST_F(ServerTest, AnswersLateRequestsWithTheirDeadline) {
  service_options.batching.max_delay = 1s;
  options.deadline = 100ms;
  Client client(start());
  const Reply reply = client.ask(post("/v1/classify", photo));
  EXPECT_EQ(reply.status, 504);
  EXPECT_EQ(json::parse(reply.body)["error"], "[serve] expected an answer within 100 ms, found none");
  EXPECT_EQ(client.ask(get("/v2/health/live")).status, 200);  // whose answer isn't the late one
}

TEST_F(ServerTest, GivesTheSameBitsInEveryBatch) {
  service_options.batching.queue = 64;
  service_options.batching.max_delay = 20ms;
  const std::uint16_t port = start();
  constexpr unsigned kPhotos = 6;
  std::vector<std::string> requests;
  std::vector<std::string> expected;
  for (unsigned i = 0; i < kPhotos; ++i) {
    const std::string one = testing::blob_png(i);
    const std::string text = json{{"inputs",
                                   {{{"name", "image"},
                                     {"shape", {1}},
                                     {"datatype", "BYTES"},
                                     {"parameters", {{"binary_data_size", one.size() + 4}}}}}},
                                  {"outputs", {{{"name", "logits"}, {"parameters", {{"binary_data", true}}}}}}}
                                 .dump();
    const auto size = static_cast<std::uint32_t>(one.size());
    requests.push_back(post("/v2/models/tiny/infer", text + std::string(reinterpret_cast<const char*>(&size), 4) + one,
                            fmt::format("Inference-Header-Content-Length: {}\r\n", text.size())));
    const std::vector<float> logits = tiny.logits(one);
    expected.emplace_back(reinterpret_cast<const char*>(logits.data()), logits.size() * sizeof(float));
  }
  std::vector<std::thread> clients;
  std::atomic<int> right = 0;
  for (unsigned k = 0; k < 8; ++k) {
    clients.emplace_back([&, k] {
      Client client(port);
      for (unsigned i = 0; i < 10; ++i) {
        const unsigned which = (k + i * 5) % kPhotos;
        const Reply reply = client.ask(requests[which]);
        const std::string json_bytes = reply.field("Inference-Header-Content-Length");
        if (reply.status == 200 && reply.body.substr(std::stoul(json_bytes)) == expected[which]) ++right;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(right, 80);
  const std::string metrics = Client(port).ask(get("/metrics")).body;
  EXPECT_EQ(metrics.find("gcvit_batch_images_count{model=\"tiny\"} 80\n"), std::string::npos)
      << "no batch had two images";
}

TEST_F(ServerTest, FinishesWhatItAcceptedBeforeItEnds) {
  service_options.batching.max_delay = 1s;
  options.drain_grace = 5s;
  const std::uint16_t port = start();
  Client waiting(port);
  waiting.send(post("/v1/classify", photo));
  Client half(port);
  const std::string request = post("/v1/classify", photo);
  half.send(request.substr(0, request.size() / 2));
  Client idle(port);
  EXPECT_EQ(idle.ask(get("/v2/health/ready")).status, 200);
  while (idle.ask(get("/metrics")).body.find("gcvit_queue_images{model=\"tiny\"} 1\n") == std::string::npos) {
  }
  server->drain();
  EXPECT_EQ(idle.ask(get("/v2/health/ready")).status, 503);
  half.send(request.substr(request.size() / 2));
  for (Client* const client : {&waiting, &half}) {
    const Reply reply = client->receive();
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.field("Connection"), "close");
  }
  EXPECT_TRUE(server->wait_until_drained(20s));
  EXPECT_TRUE(idle.is_closed());
  EXPECT_THROW(Client late(port), std::runtime_error);
}

TEST_F(ServerTest, ClosesConnectionsWithoutARequestWhenItDrains) {
  options.drain_grace = 50ms;
  const std::uint16_t port = start();
  Client fresh(port);
  Client used(port);
  EXPECT_EQ(used.ask(get("/v2")).status, 200);
  server->drain();
  EXPECT_TRUE(fresh.is_closed());
  EXPECT_TRUE(used.is_closed());
  EXPECT_TRUE(server->wait_until_drained(10s));
}

TEST_F(ServerTest, EndsUnderRequestsThatRun) {
  service_options.batching.max_delay = 100ms;
  const std::uint16_t port = start();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<Client>(port));
    clients.back()->send(post("/v1/classify", photo));
  }
  server.reset();
  for (const auto& client : clients) {
    const int status = client->receive().status;
    EXPECT_TRUE(status == 200 || status == 0) << status;  // an answer, or the connection's end
  }
}

TEST_F(ServerTest, TakesNoMoreConnectionsThanItMay) {
  options.max_connections = 2;
  const std::uint16_t port = start();
  Client first(port);
  EXPECT_EQ(first.ask(get("/v2")).status, 200);
  {
    Client second(port);
    EXPECT_EQ(second.ask(get("/v2")).status, 200);
    EXPECT_TRUE(Client(port).is_closed());
  }
  Reply reply;
  for (int i = 0; i < 1000 && reply.status != 200; ++i) reply = Client(port).ask(get("/v2"));
  EXPECT_EQ(reply.status, 200);
}

TEST_F(ServerTest, OffersRoutesWhereTheyArePlaced) {
  options.drain_grace = 50ms;
  options.listeners =
      place({.port = 0}, std::vector<Placement>{{.group = RouteGroup::kMetrics, .where = "[::1]:0"},
                                                {.group = RouteGroup::kExplain, .where = "127.0.0.1:0"}});
  const std::uint16_t main = start();
  const std::uint16_t other = server->port(2);
  EXPECT_TRUE(server->url(1).starts_with("http://[::1]:")) << server->url(1);
  EXPECT_EQ(server->url(2), "http://127.0.0.1:" + std::to_string(other));
  Client client(main);
  EXPECT_EQ(client.ask(post("/v1/classify", photo)).status, 200);
  const Reply refused = client.ask(get("/metrics"));
  EXPECT_EQ(refused.status, 404);
  EXPECT_EQ(json::parse(refused.body)["error"], "[serve] /metrics: this address doesn't offer this path");
  EXPECT_FALSE(json::parse(client.ask(get("/openapi.json")).body)["paths"].contains("/metrics"));
  EXPECT_EQ(Client(other).ask(post("/v1/classify", photo)).status, 404);
  EXPECT_EQ(Client(other).ask(get("/v2/health/live")).status, 200);
  EXPECT_EQ(Client(other).ask(get("/metrics")).status, 404);
  Client idle(other);
  server->drain();
  EXPECT_TRUE(client.is_closed());
  EXPECT_TRUE(idle.is_closed());
  EXPECT_TRUE(server->wait_until_drained(10s));
  EXPECT_THROW(Client{other}, std::runtime_error);
}

TEST_F(ServerTest, IsNoUseToPagesOfOtherSites) {
  options.any_host = false;
  const std::uint16_t port = start();
  const auto status = [&](const std::string& host, const std::string& fields, const std::string& target = "/v2") {
    return Client(port).ask("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + fields + "\r\n").status;
  };
  const std::string own = "localhost:" + std::to_string(port);
  EXPECT_EQ(status(own, ""), 200);
  EXPECT_EQ(status(own, "Origin: http://" + own + "\r\n"), 200);
  EXPECT_EQ(status(own, "Origin: http://evil.example\r\n"), 403);
  EXPECT_EQ(status("evil.example", ""), 403);
  EXPECT_EQ(status("evil.example", "Origin: http://evil.example\r\n"), 403);
  EXPECT_EQ(status(own, "", "http://evil.example/v2"), 403);
  EXPECT_EQ(Client(port).ask("GET /v2 HTTP/1.0\r\n\r\n").status, 200);
  // Who has to know a key may come from everywhere.
  service_options.keys = ApiKeys("0123456789abcdef", "test");
  EXPECT_EQ(Client(start())
                .ask(get("/v2", "Origin: http://photos.example\r\nAuthorization: Bearer 0123456789abcdef\r\n"))
                .status,
            200);
}

TEST_F(ServerTest, RefusesWhatIsNotQuiteHttp) {
  const std::uint16_t port = start();
  const auto status = [&](const std::string& request) { return Client(port).ask(request).status; };
  const std::string line = "GET /v2 HTTP/1.1\r\n";
  EXPECT_EQ(status(line + "Host: a\r\nX: y\r\n z\r\n\r\n"), 200);  // one field over two lines
  for (const char* const head :
       {"GET /v2 HTTP/1.1\nHost: a\n\n\r\n\r\n", "GET /v2 HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
        "GET /v2 HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", "GET /v2 HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n",
        "GET /v2 HTTP/1.1\r\n Host: a\r\n\r\n", "GET /v2 HTTP/1.1\r\nHost: a\rX: y\r\n\r\n",
        "GET /v2 HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "GET /v2 HTTP/1.1\r\n\r\n",
        "GET  /v2 HTTP/1.1\r\nHost: a\r\n\r\n", "GET /v2\tHTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /v2 HTTP/1.1 \r\nHost: a\r\n\r\n", "GET /v2\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}) {
    EXPECT_EQ(status(head), 400) << head;
  }
  for (const char* const method : {"TRACE", "OPTIONS", "DELETE", "get", "X-OTHER"}) {
    EXPECT_EQ(status(std::string(method) + " /v2 HTTP/1.1\r\nHost: a\r\n\r\n"), 405) << method;
  }
  const std::string chunked = "POST /v1/classify HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const char* const body : {"+1\r\nx\r\n0\r\n\r\n", "0x1\r\nx\r\n0\r\n\r\n", " 1\r\nx\r\n0\r\n\r\n", "\r\n\r\n",
                                 "1\nx\r\n0\r\n\r\n", "1\r\nxy\r\n0\r\n\r\n", "10000000000000001\r\nx\r\n0\r\n\r\n"}) {
    EXPECT_EQ(status(chunked + body), 400) << body;
  }
  EXPECT_EQ(status(chunked + "ffffffffffffffff\r\nx"), 413);
  EXPECT_EQ(status(chunked + "1;" + std::string(100'000, 'x') + "\r\nx\r\n0\r\n\r\n") / 100, 4);
  EXPECT_EQ(status(chunked + "0\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n") / 100, 4);
  // Fields behind the body change nothing.
  Client client(port);
  EXPECT_EQ(client.ask(chunked + "1\r\nx\r\n0\r\nConnection: close\r\nHost: b\r\n\r\n").status, 415);
  EXPECT_EQ(client.ask(get("/v2")).status, 200);
  for (const char* const field : {"Content-Length: 9", "Transfer-Encoding: chunked"}) {
    EXPECT_EQ(status(chunked + "1\r\nx\r\n0\r\n" + field + "\r\n\r\n"), 400) << field;
  }
}

TEST(Host, IsThisMachineOrNot) {
  EXPECT_TRUE(is_loopback("127.0.0.1"));
  EXPECT_TRUE(is_loopback("127.9.9.9"));
  EXPECT_TRUE(is_loopback("::1"));
  EXPECT_TRUE(is_loopback("localhost"));
  EXPECT_FALSE(is_loopback("0.0.0.0"));
  EXPECT_FALSE(is_loopback("::"));
  EXPECT_FALSE(is_loopback("10.0.0.1"));
  EXPECT_THROW(is_loopback("no such host"), Error);
}

}  // namespace
}  // namespace gcvit::serve
