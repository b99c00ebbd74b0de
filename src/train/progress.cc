// SPDX-License-Identifier: Apache-2.0
#include "train/progress.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/duration.h"
#include "terminal/tell.h"

namespace gcvit::train {
namespace {

constexpr std::size_t kBarWidth = 30;
constexpr std::size_t kNarrowestBar = 5;

}  // namespace

double Progress::now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string Progress::bar(std::int64_t done, std::int64_t total, const std::string& rest) const {
  const std::string counts = fmt::format("{:>{}}/{}", done, std::to_string(total).size(), total);
  // The bar gives way to the figures on a narrow terminal: " [", "]" and the last column are the 4.
  const std::size_t figures = counts.size() + rest.size() + 4;
  const std::size_t space = line_.columns() > figures ? line_.columns() - figures : 0;
  const std::size_t width = std::min(kBarWidth, space);
  if (width < kNarrowestBar) return counts + rest;
  const auto whole = static_cast<std::int64_t>(width);
  const auto filled = static_cast<std::size_t>(whole * done / std::max<std::int64_t>(total, 1));
  std::string cells(width, '.');
  std::fill_n(cells.begin(), filled, '=');
  if (filled < width) cells[filled] = '>';
  return fmt::format("{} [{}]{}", counts, cells, rest);
}

void Progress::begin_epoch(std::int32_t epoch, std::int32_t epochs, std::int64_t steps, std::int64_t done) {
  epoch_ = epoch;
  epochs_ = epochs;
  steps_ = steps;
  before_ = done_ = done;
  images_ = 0;
  start_ = clock_();
  if (!line_.terminal()) return;
  line_.clear();
  tell(stream_, fmt::format("Epoch {}/{}\n", epoch, epochs));
}

void Progress::step(std::int64_t images, double loss, double accuracy) {
  ++done_;
  images_ += images;
  if (!line_.due()) return;
  const double elapsed = std::max(clock_() - start_, 1e-9);
  const double left = elapsed * static_cast<double>(steps_ - done_) / static_cast<double>(done_ - before_);
  line_.draw(bar(done_, steps_,
                 fmt::format(" - ETA {} - {:.1f} {} - loss: {:.4f} - accuracy: {:.4f}", duration_text(left),
                             static_cast<double>(images_) / elapsed, unit_, loss, accuracy)));
}

void Progress::hashes(const data::HashProgress& hashed) {
  steps_ = static_cast<std::int64_t>(hashed.total);
  if (hashed.done == 0) start_ = clock_();
  if (hashed.done == hashed.total) line_.clear();
  if (hashed.done == 0 || hashed.done == hashed.total || !line_.due()) return;
  const double elapsed = std::max(clock_() - start_, 1e-9);
  const auto done = static_cast<double>(hashed.done);
  line_.draw(bar(static_cast<std::int64_t>(hashed.done), steps_,
                 fmt::format(" - ETA {} - {:.0f} photos/s - {:.1f} MB/s - reading photos to split them",
                             duration_text((static_cast<double>(hashed.total) - done) * elapsed / done), done / elapsed,
                             static_cast<double>(hashed.bytes) * 1e-6 / elapsed)));
}

void Progress::begin_features(std::int64_t total) {
  unit_ = "features/s";
  steps_ = total;
  start_ = clock_();
}

void Progress::features(std::int64_t done) {
  if (done == 0 || !line_.due()) return;
  const double elapsed = std::max(clock_() - start_, 1e-9);
  const double rate = static_cast<double>(done) / elapsed;
  line_.draw(bar(done, steps_,
                 fmt::format(" - ETA {} - {:.1f} photos/s - features",
                             duration_text(static_cast<double>(steps_ - done) / rate), rate)));
}

double Progress::end_features(std::int64_t done) {
  const double seconds = clock_() - start_;
  line_.clear();
  tell(stream_, fmt::format("Features of {} photos - {} - {:.1f} photos/s\n", done, duration_text(seconds),
                            static_cast<double>(done) / std::max(seconds, 1e-9)));
  return seconds;
}

void Progress::pass(std::int64_t done, std::int64_t total, const char* what) {
  if (line_.due()) line_.draw(bar(done, total, fmt::format(" - {}", what)));
}

void Progress::end_epoch(const EpochRow& row) {
  line_.clear();
  std::string text = fmt::format("{}/{} - {} - {:.1f} {} - loss: {:.4f} - accuracy: {:.4f}", done_, steps_,
                                 duration_text(row.seconds), row.images_per_second, unit_, row.loss, row.accuracy);
  if (row.val_loss) text += fmt::format(" - val_loss: {:.4f}", *row.val_loss);
  if (row.val_accuracy) text += fmt::format(" - val_accuracy: {:.4f}", *row.val_accuracy);
  tell(stream_, (line_.terminal() ? "" : fmt::format("Epoch {}/{} - ", epoch_, epochs_)) + text + "\n");
}

}  // namespace gcvit::train
