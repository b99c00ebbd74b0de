// SPDX-License-Identifier: Apache-2.0
#include "serve/target.h"

#include <charconv>
#include <system_error>

#include "serve/refusal.h"

namespace gcvit::serve {
namespace {

enum class Plus : bool { kStays, kIsSpace };

std::string decoded(std::string_view text, Plus plus) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto byte = static_cast<unsigned char>(text[i]);
    if (byte == '%') {
      const std::string_view digits = text.substr(i + 1, 2);
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
      if (digits.size() != 2 || error != std::errc() || end != digits.data() + 2) {
        refuse(400, "invalid_target", "URL: expected two hexadecimal digits behind %, found \"{}\"", digits);
      }
      i += 2;
    } else if (byte == '+' && plus == Plus::kIsSpace) {
      byte = ' ';
    }
    if (byte < 0x20 || byte == 0x7f) refuse(400, "invalid_target", "URL: expected no control characters, found one");
    out.push_back(static_cast<char>(byte));
  }
  return out;
}

}  // namespace

std::optional<std::string_view> authority_of(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!target.starts_with(scheme)) continue;
    const std::string_view rest = target.substr(scheme.size());
    return rest.substr(0, rest.find_first_of("/?#"));
  }
  return std::nullopt;
}

Target parse_target(std::string_view text) {
  if (text.size() > kLongestTarget) {
    refuse(414, "target_too_long", "URL: expected at most {} bytes, found {}", kLongestTarget, text.size());
  }
  const auto authority = authority_of(text);
  if (authority) text.remove_prefix(static_cast<std::size_t>(authority->data() - text.data()) + authority->size());
  text = text.substr(0, text.find('#'));
  const std::size_t mark = text.find('?');
  std::string_view path = text.substr(0, mark);
  if (path.starts_with('/')) {
    path.remove_prefix(1);
  } else if (!authority) {
    refuse(400, "invalid_target", "URL: expected a path that begins with /, found \"{}\"", text);
  }

  Target target;
  while (!path.empty()) {
    const std::size_t end = path.find('/');
    target.path.push_back(decoded(path.substr(0, end), Plus::kStays));
    path = end == std::string_view::npos ? "" : path.substr(end + 1);
  }
  std::string_view query = mark == std::string_view::npos ? "" : text.substr(mark + 1);
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    query = end == std::string_view::npos ? "" : query.substr(end + 1);
    if (pair.empty()) continue;
    const std::size_t equals = pair.find('=');
    std::string name = decoded(pair.substr(0, equals), Plus::kIsSpace);
    std::string value = equals == std::string_view::npos ? "" : decoded(pair.substr(equals + 1), Plus::kIsSpace);
    if (!target.query.emplace(name, std::move(value)).second) {
      refuse(400, "invalid_target", "URL: expected the parameter \"{}\" once, found it twice", name);
    }
  }
  return target;
}

}  // namespace gcvit::serve
