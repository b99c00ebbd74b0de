// SPDX-License-Identifier: Apache-2.0
// Who may ask: keys that clients send as "Authorization: Bearer KEY".
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace gcvit::serve {

class ApiKeys {
 public:
  static constexpr std::size_t kShortest = 16;
  static constexpr std::size_t kLongest = 256;

  /// No keys: everyone may ask.
  ApiKeys() = default;
  /// One key a line, each of 16 to 256 printable ASCII characters without spaces; empty lines and those that begin with # don't count.
  /// `file` names the text in errors. Throws `Error` on another line, or when there is no key.
  ApiKeys(std::string_view text, std::string_view file);
  /// The keys of a file.
  static ApiKeys read(const std::string& path);

  bool empty() const { return keys_.empty(); }
  /// Whether the value of an Authorization field holds one of the keys, or there are none. How long this takes doesn't depend on how much of
  /// a key is right.
  bool allow(std::string_view authorization) const;

 private:
  using Padded = std::array<unsigned char, kLongest>;
  static Padded padded(std::string_view key);

  std::vector<Padded> keys_;
};

}  // namespace gcvit::serve
