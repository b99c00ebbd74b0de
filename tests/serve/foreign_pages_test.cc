// SPDX-License-Identifier: Apache-2.0
#include "serve/foreign_pages.h"

#include <gtest/gtest.h>

#include "tests/serve/refused.h"

namespace gcvit::serve {
namespace {

std::string with_origin(const std::string& host, const std::string& origin) {
  RequestHead head;
  head.host = host;
  head.origin = origin;
  return refused([&] { check_origin(head); });
}

std::string with_host(const std::string& host) {
  RequestHead head;
  head.host = host;
  return refused([&] { check_host(head, "box"); });
}

TEST(ForeignPages, HaveAnotherOrigin) {
  EXPECT_EQ(with_origin("localhost:8080", ""), "accepted");  // no browser
  EXPECT_EQ(with_origin("localhost:8080", "http://localhost:8080"), "accepted");
  EXPECT_EQ(with_origin("Photos.example", "https://photos.example"), "accepted");
  EXPECT_EQ(with_origin("[::1]:8080", "http://[::1]:8080"), "accepted");
  EXPECT_EQ(with_origin("localhost:8080", "http://evil.example"),
            "403 [serve] Origin: expected a page of localhost:8080, found one of http://evil.example");
  for (const char* const origin : {"null", "http://localhost:8081", "http://localhost", "http://localhost:8080.evil",
                                   "localhost:8080", "http://", "http://evil.example http://localhost:8080"}) {
    EXPECT_TRUE(with_origin("localhost:8080", origin).starts_with("403 ")) << origin;
  }
  EXPECT_TRUE(with_origin("", "http://evil.example").starts_with("403 "));
}

TEST(ForeignPages, AskForTheirOwnName) {
  for (const char* const host : {"localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:8080", "[::1]", "10.1.2.3",
                                 "box:8080", "photos.localhost:80", ""}) {
    EXPECT_EQ(with_host(host), "accepted") << host;
  }
  EXPECT_EQ(with_host("evil.example:8080"),
            "403 [serve] Host: expected localhost or an address of this machine, found evil.example:8080");
  for (const char* const host : {"evil.example", "localhost.evil.example", "xlocalhost", "127.0.0.1.evil.example",
                                 "[evil", "box.evil", "evil.example:8080:127.0.0.1", "user@evil.example"}) {
    EXPECT_TRUE(with_host(host).starts_with("403 ")) << host;
  }
}

}  // namespace
}  // namespace gcvit::serve
