// SPDX-License-Identifier: Apache-2.0
#include "answer.h"

#include <system_error>
#include <charconv>

#include "base/error.h"
#include "serve/fields.h"

namespace gcvit::bench {

void AnswerReader::reset() { *this = {}; }

bool AnswerReader::add(std::string_view bytes) {
  constexpr std::string_view kEndOfHead = "\r\n\r\n";
  bytes_ += bytes;
  if (body_at_ == 0) {
    const std::size_t end = bytes_.find(kEndOfHead);
    if (end == std::string::npos) return false;
    read_head(std::string_view(bytes_).substr(0, end));
    body_at_ = end + kEndOfHead.size();
    bytes_.reserve(body_at_ + body_bytes_);
  }
  return bytes_.size() >= body_at_ + body_bytes_;
}

void AnswerReader::read_head(std::string_view head) {
  constexpr std::string_view kVersion = "HTTP/1.1 ";
  const char* const status = head.data() + kVersion.size();
  if (!head.starts_with(kVersion) || std::from_chars(status, head.data() + head.size(), status_).ec != std::errc()) {
    fail("[load] expected an answer in HTTP/1.1, found \"{}\"", head.substr(0, head.find('\r')));
  }
  bool has_length = false;
  for (std::size_t at = head.find("\r\n"); at != std::string_view::npos; at = head.find("\r\n", at + 2)) {
    const std::string_view line = head.substr(at + 2, head.find("\r\n", at + 2) - at - 2);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = serve::trimmed(line.substr(colon + 1));
    if (serve::equals_ignoring_case(name, "content-length")) {
      const auto length = serve::parse_number(value);
      if (!length) fail("[load] Content-Length: expected a number, found \"{}\"", value);
      body_bytes_ = *length;
      has_length = true;
    } else if (serve::equals_ignoring_case(name, "connection")) {
      keeps_alive_ = !serve::equals_ignoring_case(value, "close");
    }
  }
  if (!has_length) fail("[load] expected an answer with a Content-Length, found none");
}

std::string_view comparable(std::string_view body, Check check) {
  if (check == Check::kNone) return {};
  if (check == Check::kExact) return body.substr(0, body.find("\"milliseconds\":"));
  const std::size_t index = body.find("\"index\":");
  if (index == std::string_view::npos) return {};
  return body.substr(index, body.find_first_of(",}", index) - index);
}

}  // namespace gcvit::bench
