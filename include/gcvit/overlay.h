// SPDX-License-Identifier: Apache-2.0
// An explanation on the photo that it explains.
//
//     const gcvit::Image photo = gcvit::Image::file("rose.jpg");
//     gcvit::Session& session = explainer.session();
//     const gcvit::Explanation why = explainer.grad_cam(session.preprocess(photo));
//     const std::string png = gcvit::overlay_png(session, photo, {&why, 1});
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gcvit/explain.h"
#include "gcvit/export.h"
#include "gcvit/image.h"
#include "gcvit/session.h"

namespace gcvit {

/// Colours from dark to bright whose order everyone sees.
enum class ColourMap : std::uint8_t { kViridis, kInferno };

/// "viridis", "inferno".
GCVIT_EXPORT std::string_view name_of(ColourMap colours);

/// A map over a photo's own pixels, upright as the session's options turn it.
struct PhotoValues {
  std::int32_t height = 0;
  std::int32_t width = 0;
  std::vector<float> values = {};  ///< [height, width], 0 to 1: shares of the map's highest value
};

/// The explanation's map on the photo, through the inverse of the session's preprocessing. What is negative, and what the model didn't see
/// because it was cropped away, is 0; so is everything of an empty map. Throws `Error` when the photo can't be read.
GCVIT_EXPORT PhotoValues on_photo(const Session& session, const Image& photo, const Explanation& explanation);

struct OverlayOptions {
  ColourMap colours = ColourMap::kViridis;
  float opacity = 0.5f;  ///< of the colours over the photo, 0 to 1
  /// Pixels of the picture's longer side without its legend: a larger photo is drawn smaller. A photo below 320 is drawn larger.
  std::int32_t longest_side = 1600;
};

/// The bytes of a PNG: the photo under the colours of the explanation's map, and a legend with what they stand for; several explanations
/// side by side. What the model didn't see is dimmed. An empty map, and one without positive values, leaves the photo as it is, and the
/// legend says so. Throws `Error` when the photo can't be read, there is no explanation or more than 16, or an option is out of its range.
GCVIT_EXPORT std::string overlay_png(const Session& session, const Image& photo,
                                     std::span<const Explanation> explanations, const OverlayOptions& options = {});

}  // namespace gcvit
