// SPDX-License-Identifier: Apache-2.0
#include "train/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/duration.h"
#include "terminal/tell.h"

namespace gcvit::train {

void Progress::begin_epoch(std::int32_t epoch, std::int32_t epochs, std::int64_t steps, std::int64_t done,
                           std::int64_t later) {
  epoch_ = epoch;
  epochs_ = epochs;
  steps_ = steps;
  before_ = done_ = done;
  later_ = later;
  images_ = 0;
  stepped_ = 0.0;
  bar_.start(steps, done);
  if (!bar_.terminal()) return;
  bar_.clear();
  tell(stream_, fmt::format("Epoch {}/{}\n", epoch, epochs));
}

void Progress::step(std::int64_t images, double loss, double accuracy, double lr) {
  ++done_;
  images_ += images;
  stepped_ = bar_.elapsed();
  watcher_.stepped({epoch_, done_, steps_, loss, accuracy, lr});
  if (!bar_.due()) return;
  std::vector<std::string> figures = {bar_.eta(done_)};
  if (later_ > 0) figures.back() += ", run " + duration_text(run_left(false));
  if (!on_features_ && stepped_ >= kShortestForRate) {
    figures.push_back(fmt::format("{:.1f} img/s", static_cast<double>(images_) / stepped_));
  }
  figures.push_back(fmt::format("loss: {:.4f}", loss));
  figures.push_back(fmt::format("accuracy: {:.4f}", accuracy));
  figures.push_back(fmt::format("lr: {:.1e}", lr));
  bar_.draw(done_, steps_, figures);
}

/// Seconds that the run still takes if its steps and validations take as long as those so far.
double Progress::run_left(bool validated) const {
  const auto own = static_cast<double>(std::max<std::int64_t>(done_ - before_, 1));
  const std::int64_t epochs = (later_ + steps_ - 1) / std::max<std::int64_t>(steps_, 1);
  return stepped_ / own * static_cast<double>(steps_ - done_ + later_) +
         validation_ * static_cast<double>(epochs + (validated ? 0 : 1));
}

void Progress::validate(std::int64_t done, std::int64_t total) {
  watcher_.progressed("validation", done, total);
  if (bar_.due()) bar_.draw(done, total, " - validating");
}

void Progress::hashes(const data::HashProgress& hashed) {
  const auto done = static_cast<std::int64_t>(hashed.done);
  const auto total = static_cast<std::int64_t>(hashed.total);
  watcher_.progressed("hashes", done, total);
  if (done == 0) bar_.start(total);
  if (done == total) bar_.clear();
  if (done == 0 || done == total || !bar_.due()) return;
  bar_.draw(done, total,
            fmt::format(" - {}{}{} - reading photos to split them", bar_.eta(done),
                        bar_.rate(static_cast<double>(done), "photos/s", 0),
                        bar_.rate(static_cast<double>(hashed.bytes) * 1e-6, "MB/s")));
}

void Progress::begin_features(std::int64_t total) {
  on_features_ = true;
  steps_ = total;
  bar_.start(total);
}

void Progress::features(std::int64_t done) {
  watcher_.progressed("features", done, steps_);
  if (done == 0 || !bar_.due()) return;
  bar_.draw(done, steps_,
            fmt::format(" - {}{} - features", bar_.eta(done), bar_.rate(static_cast<double>(done), "photos/s")));
}

double Progress::end_features(std::int64_t done) {
  const double seconds = bar_.elapsed();
  const std::string rate = bar_.rate(static_cast<double>(done), "photos/s");
  bar_.clear();
  tell(stream_, fmt::format("Features of {} photos - {}{}\n", done, duration_text(seconds), rate));
  return seconds;
}

void Progress::end_epoch(const EpochRow& row, bool best) {
  bar_.clear();
  validation_ = bar_.elapsed() - stepped_;
  std::string text = fmt::format("{}/{} - {}", done_, steps_, duration_text(row.seconds));
  if (!on_features_ && row.seconds >= kShortestForRate) text += fmt::format(" - {:.1f} img/s", row.images_per_second);
  text += fmt::format(" - loss: {:.4f} - accuracy: {:.4f}", row.loss, row.accuracy);
  if (row.val_loss) text += fmt::format(" - val_loss: {:.4f}", *row.val_loss);
  if (row.val_accuracy) text += fmt::format(" - val_accuracy: {:.4f}", *row.val_accuracy);
  text += fmt::format(" - lr: {:.1e}", row.lr);
  if (best) text += " - " + styled("best so far", Style::kGood, colour_);
  if (later_ > 0) text += " - run ETA " + duration_text(run_left(true));
  tell(stream_, (bar_.terminal() ? "" : fmt::format("Epoch {}/{} - ", epoch_, epochs_)) + text + "\n");
}

}  // namespace gcvit::train
