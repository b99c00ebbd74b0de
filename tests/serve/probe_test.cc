// SPDX-License-Identifier: Apache-2.0
#include "serve/probe.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <memory>
#include <string>

#include "serve/server.h"
#include "tests/serve/tiny_service.h"

namespace gcvit::serve {
namespace {

using namespace std::chrono_literals;

/// "ready", or what is wrong.
std::string probe(const std::string& url, std::chrono::milliseconds patience = 10s) {
  try {
    expect_ready(url, patience);
  } catch (const Error& error) {
    return error.what();
  }
  return "ready";
}

TEST(Probe, AsksAServerWhetherItIsReady) {
  const TinyModel tiny;
  Notices notices;
  ServiceOptions options = tiny.options();
  options.keys = ApiKeys("0123456789abcdef", "keys");
  Service service(options, notices.listener());
  ServerOptions server_options;
  server_options.listeners.front().port = 0;
  auto server = std::make_unique<Server>(service, server_options);
  const std::string url = server->url();
  EXPECT_EQ(probe(url), "ready");
  EXPECT_EQ(probe(url + "/"), "ready");
  service.drain();
  EXPECT_EQ(probe(url), "[serve] " + url + ": expected a server that is ready, found status 503");
  server.reset();
  EXPECT_EQ(probe(url), "[serve] " + url + ": expected a server that is ready, found: Connection refused");
}

TEST(Probe, DoesNotWaitForEver) {
  boost::asio::io_context context;
  const boost::asio::ip::tcp::acceptor silent(context, {boost::asio::ip::address_v4::loopback(), 0});
  const std::string url = "http://127.0.0.1:" + std::to_string(silent.local_endpoint().port());
  EXPECT_NE(probe(url, 50ms).find("expected a server that is ready, found: The socket was closed due to a timeout"),
            std::string::npos)
      << probe(url, 50ms);
}

TEST(Probe, WantsAnHttpUrl) {
  for (const char* const url :
       {"", "ftp://127.0.0.1:8443", "127.0.0.1:8080", "http://127.0.0.1", "http://[::1]:80/x"}) {
    EXPECT_EQ(probe(url), std::string("[serve] ") + url + ": expected http://HOST:PORT or https://HOST:PORT");
  }
}

}  // namespace
}  // namespace gcvit::serve
