// SPDX-License-Identifier: Apache-2.0
// Models at other image sizes than they were trained at.
#pragma once

#include <cstdint>

#include "model/config.h"

namespace gcvit::model {

/// What happens to the windows when images have another size.
enum class WindowMode : std::uint8_t {
  /// They become what the query generators reach: for the published models H/32 x W/32, in level 3 H/16 x W/16, as in
  /// timm. Relative position bias tables must be resized to them.
  kExact,
  /// They stay, as in NVlabs' detection code: `GCViTConfig::native_image` says what they were made for.
  kFixed,
};

/// `config` with images of another size; the same when it has that size already. Sides are multiples of 32 (more where
/// a query generator halves more often than in the published models) up to 16384, in both modes; else throws `Error`
/// that names the nearest that are.
GCViTConfig with_image_size(const GCViTConfig& config, ImageSize size, WindowMode mode);

}  // namespace gcvit::model
