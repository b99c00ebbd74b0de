// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

namespace gcvit::report {

/// What one epoch came to.
struct EpochRow {
  std::int32_t epoch = 0;  ///< counts from 1
  double loss = 0.0;  ///< mean over the epoch's photos, as they were trained on
  double accuracy = 0.0;  ///< fraction of them whose most probable class was right
  std::optional<double> val_loss{};  ///< nothing without validation photos
  std::optional<double> val_accuracy{};  ///< fraction; nothing without validation photos
  double lr = 0.0;  ///< learning rate of the epoch's last step
  double seconds = 0.0;  ///< of the whole epoch, validation included
  double images_per_second = 0.0;  ///< of training alone

  bool operator==(const EpochRow&) const = default;
};

}  // namespace gcvit::report
