// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "image/decode.h"

namespace gcvit::image {

/// The bytes of an 8-bit RGB PNG: lossless. Throws `Error` for a picture that isn't as `check` wants it.
std::string encode_png(const Image& image);

/// The bytes of a lossy WebP, a tenth of a PNG's for photos. `quality` from 0 to 100. Throws `Error` for a picture that
/// isn't as `check` wants it, or with a side over 16383, WebP's longest.
std::string encode_webp(const Image& image, float quality);

}  // namespace gcvit::image
