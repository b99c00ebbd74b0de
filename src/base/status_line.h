// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

namespace gcvit {

/// The last line of a terminal, drawn in place again and again while something goes on. Where the stream is no terminal
/// nothing is drawn.
class StatusLine {
 public:
  explicit StatusLine(std::FILE* stream = stderr);
  /// For a stream that is to be taken for a terminal, or for none, whatever it is.
  StatusLine(std::FILE* stream, bool terminal) : stream_(stream), terminal_(terminal) {}
  ~StatusLine() { clear(); }
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  bool terminal() const { return terminal_; }
  /// Columns of the terminal, 80 where it doesn't say.
  std::size_t columns() const;
  /// True on a terminal, at most ten times a second: only then is a new text worth making.
  bool due() const { return terminal_ && Clock::now() >= next_; }
  /// Shows `text` (one line, ASCII) in place of what is there, cut where the terminal ends.
  void draw(std::string_view text);
  /// Takes the line away for something else to be printed; the next one is due at once.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;

  std::FILE* stream_;
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point next_{};
};

/// "0:41", "12:05", "1:02:03": for 0 and more, to the nearest second.
std::string duration_text(double seconds);

}  // namespace gcvit
