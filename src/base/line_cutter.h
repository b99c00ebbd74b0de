// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace gcvit {

/// Cuts a text that comes in pieces into lines. A line ends with \n or \r\n, the last one also with the text; a byte
/// order mark before the first is dropped.
class LineCutter {
 public:
  /// Each line, counted from 1. Without its end.
  using Take = std::function<void(const std::string& line, std::size_t number)>;

  /// Throws "[area] file: line 3: ..." where a line has more than `longest` bytes or a zero byte.
  LineCutter(std::string area, std::string file, std::size_t longest, Take take)
      : area_(std::move(area)), file_(std::move(file)), longest_(longest), take_(std::move(take)) {}

  void add(std::string_view piece) {
    while (true) {
      const std::size_t end = piece.find('\n');
      const std::string_view found = piece.substr(0, end);
      if (found.find('\0') != std::string_view::npos)
        fail("[{}] {}: line {}: has a zero byte in it", area_, file_, number_);
      if (found.size() > longest_ - line_.size()) {
        fail("[{}] {}: line {}: expected at most {} bytes, found more", area_, file_, number_, longest_);
      }
      line_ += found;
      if (end == std::string_view::npos) return;
      end_line();
      piece.remove_prefix(end + 1);
    }
  }

  /// No piece follows.
  void finish() {
    if (!line_.empty()) end_line();
  }

 private:
  void end_line() {
    constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
    if (number_ == 1 && line_.starts_with(kByteOrderMark)) line_.erase(0, kByteOrderMark.size());
    if (line_.ends_with('\r')) line_.pop_back();
    take_(line_, number_++);
    line_.clear();
  }

  std::string area_;
  std::string file_;
  std::size_t longest_;
  Take take_;
  std::string line_;
  std::size_t number_ = 1;
};

}  // namespace gcvit
