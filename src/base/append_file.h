// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace gcvit {

/// A file that grows for as long as a program runs. All errors are thrown as `Error`.
class AppendFile {
 public:
  /// Creates the file, or goes on at the end of the one that is there.
  explicit AppendFile(const std::string& path);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  /// The bytes are in the file when this returns. When it throws, none of them are.
  void append(std::span<const std::byte> bytes);
  void append(std::string_view text) { append(std::as_bytes(std::span(text))); }
  /// Makes what was appended survive a loss of power.
  void sync();

 private:
  std::string path_;
  int descriptor_ = -1;
};

}  // namespace gcvit
