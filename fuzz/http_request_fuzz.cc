// SPDX-License-Identifier: Apache-2.0
// A connection's bytes through the parser, the rules for heads, the router, the queries, and what reads the body of a classification.
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <string>
#include <string_view>

#include "fuzz/target.h"
#include "serve/api_keys.h"
#include "serve/decompress.h"
#include "serve/foreign_pages.h"
#include "serve/multipart.h"
#include "serve/queries.h"
#include "serve/refusal.h"
#include "serve/request_head.h"
#include "serve/router.h"

namespace gcvit::fuzz {
namespace {

namespace http = boost::beast::http;

constexpr std::uint32_t kMostHeader = 4096;
constexpr std::uint64_t kMostBody = 1 << 16;

void check_body(const serve::RequestHead& head, std::string body) {
  body = serve::decompress(std::move(body), head.content_encoding, kMostBody);
  expect(body.size() <= kMostBody, "a body within its limit");
  if (!serve::is_multipart(head.content_type)) return;
  const std::span<const std::byte> bytes = std::as_bytes(std::span(body));
  const std::byte* end = bytes.data();
  for (const serve::Part& part : serve::parse_multipart(head.content_type, bytes)) {
    if (part.content.empty()) continue;
    expect(part.content.data() >= end, "parts behind each other");
    end = part.content.data() + part.content.size();
    expect(end <= bytes.data() + bytes.size(), "a part inside the body");
  }
}

/// Most requests are from no page of this server, and are read on all the same.
void check_browser(const serve::RequestHead& head) {
  try {
    serve::check_origin(head);
    serve::check_host(head, "localhost");
  } catch (const serve::Refusal& refusal) {
    expect(refusal.status() == 403, "a refusal of a page");
  }
}

/// The query of a route that has one. Throws `Refusal`.
void check_query(const serve::Route& route) {
  switch (route.row->endpoint) {
    case serve::Endpoint::kClassify: expect(serve::classify_query(route.query).top_k >= 1, "a class"); break;
    case serve::Endpoint::kExplain: {
      const serve::ExplainQuery query = serve::explain_query(route.query);
      expect(query.overlay.opacity >= 0 && query.overlay.opacity <= 1, "an opacity");
      expect(query.level.value_or(1) >= 0 && query.level.value_or(1) <= 4, "a level");
      break;
    }
    case serve::Endpoint::kFeatures: (void)serve::feature_query(route.query); break;
    default: break;
  }
}

/// Parses a request from the beginning of `bytes`; how many bytes it took, 0 when it isn't whole.
std::size_t take_request(std::string_view bytes) {
  static const serve::ApiKeys keys("0123456789abcdef", "fuzz");
  http::request_parser<http::string_body> parser;
  parser.header_limit(kMostHeader);
  parser.body_limit(kMostBody);
  parser.eager(true);
  boost::beast::error_code error;
  std::size_t taken = 0;
  while (!parser.is_done()) {
    const std::size_t used = parser.put(boost::asio::buffer(bytes.data() + taken, bytes.size() - taken), error);
    taken += used;
    if (error || used == 0) break;
  }
  if (!parser.is_header_done()) return 0;
  const serve::RequestHead head = serve::read_head(parser.get());
  (void)keys.allow(head.authorization);
  check_browser(head);
  const serve::Route found = serve::route(head.method, head.target);
  expect(found.row != nullptr, "a route");
  check_query(found);
  if (error || !parser.is_done()) return 0;
  expect(!head.content_length || parser.get().body().size() == *head.content_length, "a body as long as its head says");
  check_body(head, std::move(parser.get().body()));
  return taken;
}

void run(const Input& input, Budget&) {
  std::string_view rest = input.text();
  while (!rest.empty()) {
    const std::size_t taken = take_request(rest);
    if (taken == 0) return;
    rest.remove_prefix(taken);
  }
}

const Registration registration({.name = "http_request_fuzz", .run = run});

}  // namespace
}  // namespace gcvit::fuzz
