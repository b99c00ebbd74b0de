// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "gcvit/overlay.h"
#include "image/canvas.h"

namespace gcvit::explain {

/// The colours of 0, 1/255, ..., 1: from dark to bright, in the manner of matplotlib's maps of these names.
std::array<image::Colour, 256> colours_of(ColourMap map);

}  // namespace gcvit::explain
