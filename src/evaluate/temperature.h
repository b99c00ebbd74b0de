// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "evaluate/labelled_logits.h"

namespace gcvit::evaluate {

inline constexpr double kLowestTemperature = 0.05;
inline constexpr double kHighestTemperature = 20.0;

/// Fewer photos say too little of how sure a model should be.
inline constexpr std::size_t kFewestImagesOfCalibration = 50;

/// The temperature between the bounds above by which softmax(logits / temperature) has the least mean cross entropy over
/// these photos (Guo et al., "On Calibration of Modern Neural Networks", 2017): probabilities become as sure as they
/// are right, and no photo changes its class. The same photos give the same bits.
///
/// Nothing when there is no photo, when each one's true class leads (the loss then falls for ever as the temperature
/// does, and says nothing of how sure is too sure), or when the least lies on a bound or beyond.
std::optional<double> fit_temperature(const LabelledLogits& images);

/// What a model's probabilities are to be divided by, or why they stay as they are.
struct Calibration {
  std::optional<double> temperature;
  std::string reason;  ///< for people, where there is no temperature: "4 photos are too few: it takes 50"
};

/// The temperature that these photos give, when there is reason to believe in it: they are kFewestImagesOfCalibration at
/// least, it lies between the bounds, and on photos that had no part in the fit it does no harm. The last is found by
/// cross-validation in five parts, photo i in part i mod 5: over all photos, each with the temperature that the four
/// other parts give, the loss falls and the expected calibration error doesn't rise.
Calibration calibrate(const LabelledLogits& images);

}  // namespace gcvit::evaluate
