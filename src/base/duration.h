// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace gcvit {

/// Seconds of work below which no rate is shown: over a few milliseconds it would be noise.
inline constexpr double kShortestForRate = 0.1;

/// "0:41", "12:05", "1:02:03": a number of seconds, 0 or more, to the nearest second.
std::string duration_text(double seconds);

}  // namespace gcvit
