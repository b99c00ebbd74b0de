// SPDX-License-Identifier: Apache-2.0
#include "cli/output.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "summary/table.h"
#include "tensor/error.h"

namespace gcvit::cli {
namespace {

constexpr auto kRedraw = std::chrono::milliseconds(100);

std::string time_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds + 0.5);
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

}  // namespace

void print(std::string_view text) {
  errno = 0;
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (written) return;
  if (errno == EPIPE) throw ReaderGone();
  fail("[output] standard output: can't be written: {}", std::generic_category().message(errno));
}

void print_json(const Json& json) { print(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"); }

void notice(std::string_view sentence) { fmt::print(stderr, "gcvit: {}\n", sentence); }

std::string with_commas(std::int64_t number) { return summary::with_commas(number); }

std::size_t columns_of(std::string_view text) {
  // Every byte but those that continue a character.
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

Progress::Progress(std::size_t total) : shown_(isatty(STDERR_FILENO) == 1 && total > 1), total_(total) {}

void Progress::step() {
  ++done_;
  if (!shown_) return;
  const Clock::time_point now = Clock::now();
  if (now >= next_draw_) draw(now);
}

void Progress::draw(Clock::time_point now) {
  constexpr std::size_t kBarWidth = 30;
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const double speed = static_cast<double>(done_) / std::max(elapsed, 1e-9);
  const std::size_t filled = kBarWidth * done_ / total_;
  fmt::print(stderr, "\r\033[K[{}{}] {}/{} photos, {:.1f}/s, {} left", std::string(filled, '#'),
             std::string(kBarWidth - filled, '.'), done_, total_, speed,
             time_text(static_cast<double>(total_ - done_) / speed));
  std::fflush(stderr);
  drawn_ = true;
  next_draw_ = now + kRedraw;
}

void Progress::clear() {
  if (!drawn_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  drawn_ = false;
  next_draw_ = {};
}

}  // namespace gcvit::cli
