// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "terminal/status_line.h"

namespace gcvit {

/// A bar on the last line of a terminal, with counts before it and figures behind it:
///
///     57/93 [=================>............] - ETA 0:41 - 9.4 img/s
///
/// Draws nothing when the stream isn't a terminal.
class ProgressBar {
 public:
  using Clock = std::function<double()>;  ///< seconds since any fixed moment

  explicit ProgressBar(std::FILE* stream = stderr) : line_(stream) {}
  /// For tests: whether the stream is a terminal, and what time it is.
  ProgressBar(std::FILE* stream, bool terminal, Clock clock = now)
      : line_(stream, terminal), clock_(std::move(clock)) {}

  bool terminal() const { return line_.terminal(); }
  /// Starts the time of `total` items. `before` of them were done earlier and don't count for the speed.
  void start(std::int64_t total, std::int64_t before = 0);
  /// Seconds since the start, more than 0.
  double elapsed() const;
  /// When a bar should be drawn: on a terminal, at most ten times a second.
  bool due() const { return line_.due(); }
  /// "ETA 0:41": the time left after `done` items, at the speed since the start.
  std::string eta(std::int64_t done) const;
  /// " - 9.4 img/s" for `amount` of work since the start, with `decimals` digits; empty while that is too short to mean anything.
  std::string rate(double amount, std::string_view unit, int decimals = 1) const;
  /// Draws `done` of `total` items as "57/93 [====>....]" and `figures` behind it. The bar is shortened, and at last left
  /// out, on a narrow terminal.
  void draw(std::int64_t done, std::int64_t total, std::string_view figures);
  /// The same with `counts` in place of the two numbers.
  void draw(std::int64_t done, std::int64_t total, std::string_view counts, std::string_view figures);
  /// The same with figures in the order of their importance, " - " before each: those at the end for which there is no room are left
  /// out whole.
  void draw(std::int64_t done, std::int64_t total, std::span<const std::string> figures);
  /// Erases the bar so that something else can be printed; the next one is due at once.
  void clear() { line_.clear(); }

 private:
  static double now();

  StatusLine line_;
  Clock clock_ = now;
  std::int64_t total_ = 0;
  std::int64_t before_ = 0;
  double start_ = 0.0;
};

}  // namespace gcvit
