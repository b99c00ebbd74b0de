// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "gcvit/overlay.h"
#include "image/decode.h"
#include "image/preprocess.h"

namespace gcvit::explain {

/// Whether there is anything to show of it.
bool has_evidence(const Explanation& explanation);

/// The photo, of any size, under the colours of the map; what the model didn't see of it is dimmed. `seen` is in its pixels.
image::Image coloured(image::Image photo, const image::Area& seen, const Explanation& explanation,
                      const OverlayOptions& options = {});

/// What overlay_png draws, of a decoded photo and what the model's input shows of it.
image::Image overlay(const image::Image& photo, const image::Area& seen, std::span<const Explanation> explanations,
                     const OverlayOptions& options);

}  // namespace gcvit::explain
