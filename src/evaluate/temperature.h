// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "evaluate/labelled_logits.h"

namespace gcvit::evaluate {

inline constexpr double kLowestTemperature = 0.05;
inline constexpr double kHighestTemperature = 20.0;

/// The temperature in the bounds above by which softmax(logits / temperature) has the least mean cross entropy over
/// these photos (Guo et al., "On Calibration of Modern Neural Networks", 2017): probabilities become as sure as they
/// are right, and no photo changes its class. The same photos give the same bits.
///
/// Nothing when there is no photo, or when each one's true class leads: the loss then falls for ever as the temperature
/// does, and says nothing of how sure is too sure.
std::optional<double> fit_temperature(const LabelledLogits& photos);

}  // namespace gcvit::evaluate
