// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <stdexcept>
#include <string>

namespace gcvit::testing {

/// A stream, backed by a file without a name, whose text can be read back.
class CapturedStream {
 public:
  CapturedStream() : file_(std::tmpfile()) {
    if (file_ == nullptr) throw std::runtime_error("no temporary file for a test");
  }
  ~CapturedStream() { std::fclose(file_); }
  CapturedStream(const CapturedStream&) = delete;
  CapturedStream& operator=(const CapturedStream&) = delete;

  std::FILE* get() { return file_; }
  /// All that was written so far.
  std::string text() {
    std::fflush(file_);
    std::rewind(file_);
    std::string text;
    for (int letter = std::fgetc(file_); letter != EOF; letter = std::fgetc(file_)) text += static_cast<char>(letter);
    std::fseek(file_, 0, SEEK_END);
    return text;
  }

 private:
  std::FILE* file_;
};

}  // namespace gcvit::testing
