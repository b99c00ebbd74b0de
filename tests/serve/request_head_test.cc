// SPDX-License-Identifier: Apache-2.0
#include "serve/request_head.h"

#include <gtest/gtest.h>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "tests/serve/refused.h"

namespace gcvit::serve {
namespace {

namespace http = boost::beast::http;

/// Of a head's text; throws where the parser doesn't take it.
RequestHead head_of(const std::string& text) {
  http::request_parser<http::string_body> parser;
  boost::beast::error_code error;
  parser.put(boost::asio::buffer(text), error);
  if (error && error != http::error::need_more) refuse(400, "parser", "{}", error.message());
  if (!parser.is_header_done()) refuse(400, "parser", "unfinished");
  return read_head(parser.get());
}

std::string refusal(const std::string& fields, const std::string& line = "POST /v1/classify HTTP/1.1") {
  return refused([&] { head_of(line + "\r\n" + fields + "\r\n"); });
}

TEST(RequestHead, HasWhatTheServerNeeds) {
  const RequestHead head = head_of(
      "POST /v1/classify?top_k=1 HTTP/1.1\r\nhost: x\r\nAuthorization:  Bearer k \r\nCONTENT-TYPE: image/png\r\n"
      "Content-Encoding: gzip\r\nContent-Length: 12\r\nExpect: 100-Continue\r\nInference-Header-Content-Length: "
      "7\r\n\r\n");
  EXPECT_EQ(head.method, "POST");
  EXPECT_EQ(head.target, "/v1/classify?top_k=1");
  EXPECT_EQ(head.authorization, "Bearer k");
  EXPECT_EQ(head.content_type, "image/png");
  EXPECT_EQ(head.content_encoding, "gzip");
  EXPECT_EQ(head.content_length, 12u);
  EXPECT_EQ(head.inference_json_bytes, 7u);
  EXPECT_TRUE(head.expects_continue);
}

TEST(RequestHead, SaysWhoIsAskedAndForWhom) {
  const RequestHead head = head_of("GET /v2 HTTP/1.1\r\nHost: x:80\r\nOrigin: http://y\r\n\r\n");
  EXPECT_EQ(head.host, "x:80");
  EXPECT_EQ(head.origin, "http://y");
  EXPECT_EQ(head_of("GET http://z/v2 HTTP/1.1\r\nHost: x\r\n\r\n").host, "z");
  EXPECT_EQ(head_of("GET /v2 HTTP/1.0\r\n\r\n").host, "");
  EXPECT_TRUE(refusal("Host: a\r\nOrigin: http://a\r\nOrigin: http://b\r\n").starts_with("400 "));
}

TEST(RequestHead, OfAnOldClientNeedsNoHost) {
  EXPECT_EQ(refusal("Expect: 100-continue\r\n", "GET /v2 HTTP/1.0"), "accepted");
  EXPECT_EQ(refusal("", "GET /v2 HTTP/1.1"), "400 [serve] Host: expected the field in HTTP/1.1, found none");
}

TEST(RequestHead, RefusesWhatAProxyCouldReadInAnotherWay) {
  for (const char* const fields :
       {"Host: a\r\nHost: b\r\n", "Host: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Host: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n", "Host: a\r\nContent-Length: +3\r\n",
        "Host: a\r\nContent-Length: -1\r\n", "Host: a\r\nContent-Length: 3, 3\r\n",
        "Host: a\r\nContent-Length: 18446744073709551616\r\n", "Host: a\r\nTransfer-Encoding: gzip\r\n",
        "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n", "Host: a\r\nTransfer-Encoding: chunked, identity\r\n",
        "Host: a\r\nTransfer-Encoding: xchunked\r\n",
        "Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "Host: a\r\nContent-Length : 3\r\n",
        "Host: a\r\nInference-Header-Content-Length: 1\r\nInference-Header-Content-Length: 2\r\n"}) {
    EXPECT_TRUE(refusal(fields).starts_with("400 ")) << fields;
  }
  EXPECT_TRUE(refusal("Transfer-Encoding: chunked\r\n", "POST / HTTP/1.0").starts_with("400 "));
  EXPECT_EQ(refusal("Host: a\r\nTransfer-Encoding: Chunked\r\n"), "accepted");
  EXPECT_EQ(refusal("Host: a\r\nExpect: tea\r\n"), "417 [serve] Expect: expected 100-continue, found \"tea\"");
}

}  // namespace
}  // namespace gcvit::serve
