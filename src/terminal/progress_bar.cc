// SPDX-License-Identifier: Apache-2.0
#include "terminal/progress_bar.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/duration.h"

namespace gcvit {
namespace {

constexpr std::size_t kWidth = 30;
constexpr std::size_t kLeastWidth = 5;

std::string counts_text(std::int64_t done, std::int64_t total) {
  return fmt::format("{:>{}}/{}", done, std::to_string(total).size(), total);
}

}  // namespace

double ProgressBar::now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void ProgressBar::start(std::int64_t total, std::int64_t before) {
  total_ = total;
  before_ = before;
  start_ = clock_();
}

double ProgressBar::elapsed() const { return std::max(clock_() - start_, 1e-9); }

std::string ProgressBar::eta(std::int64_t done) const {
  const auto own = static_cast<double>(std::max<std::int64_t>(done - before_, 1));
  return "ETA " + duration_text(elapsed() * static_cast<double>(total_ - done) / own);
}

std::string ProgressBar::rate(double amount, std::string_view unit, int decimals) const {
  const double seconds = elapsed();
  return seconds < kShortestForRate ? "" : fmt::format(" - {:.{}f} {}", amount / seconds, decimals, unit);
}

void ProgressBar::draw(std::int64_t done, std::int64_t total, std::string_view figures) {
  draw(done, total, counts_text(done, total), figures);
}

void ProgressBar::draw(std::int64_t done, std::int64_t total, std::span<const std::string> figures) {
  const std::string counts = counts_text(done, total);
  std::string text;
  for (const std::string& figure : figures) {
    const std::string longer = text + " - " + figure;
    if (counts.size() + longer.size() >= line_.columns()) break;
    text = longer;
  }
  draw(done, total, counts, text);
}

void ProgressBar::draw(std::int64_t done, std::int64_t total, std::string_view counts, std::string_view figures) {
  // " [", "]" and the last column are the 4.
  const std::size_t text = counts.size() + figures.size() + 4;
  const std::size_t width = std::min(kWidth, line_.columns() > text ? line_.columns() - text : 0);
  if (width < kLeastWidth) {
    line_.draw(fmt::format("{}{}", counts, figures));
    return;
  }
  const auto filled =
      static_cast<std::size_t>(static_cast<std::int64_t>(width) * done / std::max<std::int64_t>(total, 1));
  std::string cells(width, '.');
  std::fill_n(cells.begin(), filled, '=');
  if (filled < width) cells[filled] = '>';
  line_.draw(fmt::format("{} [{}]{}", counts, cells, figures));
}

}  // namespace gcvit
