// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "evaluate/labelled_logits.h"

namespace gcvit::evaluate {

inline constexpr double kLowestTemperature = 0.05;
inline constexpr double kHighestTemperature = 20.0;

/// Fewer photos are too few to fit a temperature.
inline constexpr std::size_t kFewestImagesOfCalibration = 50;

/// The temperature within the bounds above for which softmax(logits / temperature) has the least mean cross entropy over
/// these photos (Guo et al., "On Calibration of Modern Neural Networks", 2017): probabilities then match accuracy, and no
/// prediction changes. The same photos give bitwise the same result.
///
/// Nothing when there is no photo, when every photo is classified correctly (the loss then decreases with the temperature
/// without end), or when the minimum is at a bound or beyond.
std::optional<double> fit_temperature(const LabelledLogits& images);

/// The temperature of a model, or why it has none.
struct Calibration {
  std::optional<double> temperature;
  std::string reason;  ///< if there is no temperature: "4 photos are too few: it takes 50"
};

/// The temperature fitted on these photos, if it is reliable: there are at least kFewestImagesOfCalibration photos, it lies
/// within the bounds, and it does no harm on held-out photos. The last is tested by five-fold cross-validation, photo i in
/// fold i mod 5: over all photos, each with the temperature fitted on the other folds, the loss falls and the expected
/// calibration error doesn't rise.
Calibration calibrate(const LabelledLogits& images);

}  // namespace gcvit::evaluate
