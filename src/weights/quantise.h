// SPDX-License-Identifier: Apache-2.0
// Weights as 8-bit integers: symmetric, with one f32 scale an output channel. A file keeps the integers of weight NAME as an
// I8 tensor of that name and the scales beside it as NAME.scale, f32 [out channels]: value = integer * scale.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/tensor.h"
#include "model/gcvit.h"
#include "ops/parameter.h"

namespace gcvit::weights {

/// Behind a weight's name: its scales, and the scale of a layer's inputs where a quantiser fixed one (it isn't used: inputs are
/// scaled row by row).
inline constexpr std::string_view kScaleSuffix = ".scale";
inline constexpr std::string_view kInputScaleSuffix = ".input_scale";

/// f32 [out, ...] rounded to the nearest of -127 to 127 times the channel's scale, which is its largest magnitude / 127, or 1
/// for a channel of zeros.
ops::TypedValues quantised(const Tensor& values);

/// Quantises the parameters for which int8 is enough (`model::may_be_i8`), which must be f32, and returns their number.
std::size_t quantise(model::GCViT& model);

/// What is wrong with `scales` beside i8 values of these dims: "expected f32 [64], found f16 [64]"; empty when nothing is.
std::string fault_of_scales(const Tensor& scales, const Dims& dims);

}  // namespace gcvit::weights
