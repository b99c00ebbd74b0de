// SPDX-License-Identifier: Apache-2.0
#include "serve/api_keys.h"

#include <algorithm>

#include "base/error.h"
#include "base/open_file.h"
#include "serve/fields.h"

namespace gcvit::serve {
namespace {

constexpr std::uint64_t kMostBytes = 1 << 20;
constexpr std::string_view kScheme = "Bearer";

bool is_key_character(char c) { return c > ' ' && c < '\x7f'; }

}  // namespace

ApiKeys::Padded ApiKeys::padded(std::string_view key) {
  Padded out = {};  // a key has no zero bytes, so different keys stay different
  std::ranges::copy(key.substr(0, kLongest), out.begin());
  return out;
}

ApiKeys::ApiKeys(std::string_view text, std::string_view file) {
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? "" : text.substr(end + 1);
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    line = trimmed(line);
    if (line.empty() || line.starts_with('#')) continue;
    if (line.size() < kShortest || line.size() > kLongest || !std::ranges::all_of(line, is_key_character)) {
      // Without the line itself, which is a secret.
      fail("[serve] {}: line {}: expected a key of {} to {} printable ASCII characters without spaces, found {} bytes",
           file, number, kShortest, kLongest, line.size());
    }
    keys_.push_back(padded(line));
  }
  if (keys_.empty()) fail("[serve] {}: expected a key on a line, found none", file);
}

ApiKeys ApiKeys::read(const std::string& path) { return {read_regular_text(path, "serve", kMostBytes), path}; }

bool ApiKeys::allow(std::string_view authorization) const {
  if (keys_.empty()) return true;
  const std::string_view field = trimmed(authorization);
  const std::size_t space = std::min(field.find(' '), field.size());
  const std::string_view key = trimmed(field.substr(space));
  const Padded asked = padded(key);
  bool found = false;
  for (const Padded& one : keys_) {
    unsigned difference = 0;
    for (std::size_t i = 0; i < kLongest; ++i) {
      difference |= static_cast<unsigned>(one[i] ^ asked[i]);
      asm volatile("" : "+r"(difference));  // each byte counts, whatever the ones before it were
    }
    found |= difference == 0;
  }
  return found && key.size() <= kLongest && equals_ignoring_case(field.substr(0, space), kScheme);
}

}  // namespace gcvit::serve
