// SPDX-License-Identifier: Apache-2.0
#include "train/progress.h"

#include <fmt/format.h>

#include <string>

#include "base/duration.h"
#include "terminal/tell.h"

namespace gcvit::train {

void Progress::begin_epoch(std::int32_t epoch, std::int32_t epochs, std::int64_t steps, std::int64_t done) {
  epoch_ = epoch;
  epochs_ = epochs;
  steps_ = steps;
  done_ = done;
  images_ = 0;
  bar_.start(steps, done);
  if (!bar_.terminal()) return;
  bar_.clear();
  tell(stream_, fmt::format("Epoch {}/{}\n", epoch, epochs));
}

void Progress::step(std::int64_t images, double loss, double accuracy) {
  ++done_;
  images_ += images;
  if (!bar_.due()) return;
  bar_.draw(done_, steps_,
            fmt::format(" - {} - {:.1f} {} - loss: {:.4f} - accuracy: {:.4f}", bar_.eta(done_),
                        static_cast<double>(images_) / bar_.elapsed(), unit_, loss, accuracy));
}

void Progress::validate(std::int64_t done, std::int64_t total) {
  if (bar_.due()) bar_.draw(done, total, " - validating");
}

void Progress::hashes(const data::HashProgress& hashed) {
  const auto done = static_cast<std::int64_t>(hashed.done);
  const auto total = static_cast<std::int64_t>(hashed.total);
  if (done == 0) bar_.start(total);
  if (done == total) bar_.clear();
  if (done == 0 || done == total || !bar_.due()) return;
  const double elapsed = bar_.elapsed();
  bar_.draw(done, total,
            fmt::format(" - {} - {:.0f} photos/s - {:.1f} MB/s - reading photos to split them", bar_.eta(done),
                        static_cast<double>(done) / elapsed, static_cast<double>(hashed.bytes) * 1e-6 / elapsed));
}

void Progress::begin_features(std::int64_t total) {
  unit_ = "features/s";
  steps_ = total;
  bar_.start(total);
}

void Progress::features(std::int64_t done) {
  if (done == 0 || !bar_.due()) return;
  bar_.draw(
      done, steps_,
      fmt::format(" - {} - {:.1f} photos/s - features", bar_.eta(done), static_cast<double>(done) / bar_.elapsed()));
}

double Progress::end_features(std::int64_t done) {
  const double seconds = bar_.elapsed();
  bar_.clear();
  tell(stream_, fmt::format("Features of {} photos - {} - {:.1f} photos/s\n", done, duration_text(seconds),
                            static_cast<double>(done) / seconds));
  return seconds;
}

void Progress::end_epoch(const EpochRow& row) {
  bar_.clear();
  std::string text = fmt::format("{}/{} - {} - {:.1f} {} - loss: {:.4f} - accuracy: {:.4f}", done_, steps_,
                                 duration_text(row.seconds), row.images_per_second, unit_, row.loss, row.accuracy);
  if (row.val_loss) text += fmt::format(" - val_loss: {:.4f}", *row.val_loss);
  if (row.val_accuracy) text += fmt::format(" - val_accuracy: {:.4f}", *row.val_accuracy);
  tell(stream_, (bar_.terminal() ? "" : fmt::format("Epoch {}/{} - ", epoch_, epochs_)) + text + "\n");
}

}  // namespace gcvit::train
