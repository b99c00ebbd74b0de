// SPDX-License-Identifier: Apache-2.0
#include "serve/request_head.h"

#include <string_view>

#include "serve/fields.h"
#include "serve/refusal.h"
#include "serve/target.h"

namespace gcvit::serve {
namespace {

namespace http = boost::beast::http;

constexpr std::string_view kInferenceHeader = "Inference-Header-Content-Length";

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

/// The value of a field that may appear once.
std::optional<std::string_view> only(const http::request_header<>& header, std::string_view name) {
  std::optional<std::string_view> value;
  for (const auto& field : header) {
    if (!equals_ignoring_case(view(field.name_string()), name)) continue;
    if (value) refuse(400, "invalid_head", "{}: expected the field once, found it twice", name);
    value = trimmed(view(field.value()));
  }
  return value;
}

std::optional<std::uint64_t> number_of(const http::request_header<>& header, std::string_view name) {
  const std::optional<std::string_view> text = only(header, name);
  if (!text) return std::nullopt;
  const std::optional<std::uint64_t> number = parse_number(*text);
  if (!number) refuse(400, "invalid_head", "{}: expected a number of bytes, found \"{}\"", name, *text);
  return number;
}

}  // namespace

RequestHead read_head(const http::request_header<>& header) {
  if (header.version() != 10 && header.version() != 11) {
    refuse(505, "version", "HTTP: expected version 1.0 or 1.1, found {}.{}", header.version() / 10,
           header.version() % 10);
  }
  const bool is_current = header.version() == 11;
  RequestHead head;
  head.method = std::string(view(header.method_string()));
  head.target = std::string(view(header.target()));
  head.content_length = number_of(header, "Content-Length");
  if (const auto coding = only(header, "Transfer-Encoding")) {
    if (head.content_length) refuse(400, "invalid_head", "expected Content-Length or Transfer-Encoding, found both");
    if (!is_current || !equals_ignoring_case(*coding, "chunked")) {
      refuse(400, "invalid_head", "Transfer-Encoding: expected chunked and HTTP/1.1, found \"{}\"", *coding);
    }
  }
  const std::optional<std::string_view> host = only(header, "Host");
  if (is_current && !host) refuse(400, "invalid_head", "Host: expected the field in HTTP/1.1, found none");
  head.host = std::string(authority_of(head.target).value_or(host.value_or("")));
  head.origin = std::string(only(header, "Origin").value_or(""));
  if (const auto expect = only(header, "Expect"); expect && is_current) {
    if (!equals_ignoring_case(*expect, "100-continue")) {
      refuse(417, "expectation", "Expect: expected 100-continue, found \"{}\"", *expect);
    }
    head.expects_continue = true;
  }
  head.authorization = std::string(only(header, "Authorization").value_or(""));
  head.content_type = std::string(only(header, "Content-Type").value_or(""));
  head.content_encoding = std::string(only(header, "Content-Encoding").value_or(""));
  head.if_none_match = std::string(only(header, "If-None-Match").value_or(""));
  head.inference_json_bytes = number_of(header, kInferenceHeader);
  return head;
}

}  // namespace gcvit::serve
