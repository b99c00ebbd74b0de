// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gcvit/explain.h"

namespace gcvit::explain {

/// Fills in what `explanation.map` says of itself: its lowest and highest value, and whether it is empty. Throws `Error` unless the map
/// has height x width finite values.
void set_range(Explanation& explanation);

}  // namespace gcvit::explain
