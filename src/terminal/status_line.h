// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdio>
#include <string_view>

namespace gcvit {

/// The last line of a terminal, redrawn in place while work is in progress. Draws nothing when the stream isn't a
/// terminal, or one that can't (TERM=dumb).
class StatusLine {
 public:
  explicit StatusLine(std::FILE* stream = stderr);
  /// For tests: treats the stream as a terminal, or as none, whatever it is.
  StatusLine(std::FILE* stream, bool terminal) : stream_(stream), terminal_(terminal) {}
  ~StatusLine() { clear(); }
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  bool terminal() const { return terminal_; }
  /// Width of the terminal in columns; 80 when it is unknown.
  std::size_t columns() const;
  /// True on a terminal, at most ten times a second: when a new text should be drawn.
  bool due() const { return terminal_ && Clock::now() >= next_; }
  /// Replaces the line with `text` (one line, ASCII), truncated to the terminal's width.
  void draw(std::string_view text);
  /// Erases the line so that something else can be printed; the next one is due at once.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;

  std::FILE* stream_;
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point next_{};
};

}  // namespace gcvit
