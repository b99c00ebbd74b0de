// SPDX-License-Identifier: Apache-2.0
// A model's weights and all that is said about it, at another image size than its file's.
#pragma once

#include <string>

#include "model/gcvit.h"
#include "model/image_size.h"
#include "ops/parameter.h"
#include "base/tensor.h"
#include "weights/model_file.h"

namespace gcvit::weights {

/// Changes what `info` says to images of `size`, and says so under `source.inferred`; nothing when it has that size.
/// Throws `Error` with the nearest sizes when the model can't have this one.
void change_image_size(ModelInfo& info, model::ImageSize size, model::WindowMode mode, const std::string& file);

/// The dims of a parameter where windows are those of `config`.
Dims dims_in_file(const ops::Parameter& parameter, const model::GCViTConfig& config);

/// The f32 values of a parameter with the role kBiasTable, from the windows of `stored`, its file's config, to those of `wanted`.
Tensor resize_bias_table(const ops::Parameter& parameter, Tensor values, const model::GCViTConfig& stored,
                         const model::GCViTConfig& wanted);

/// A relative position bias table, f32 [(2h-1)(2w-1), heads], of `from` windows as one of `to` windows.
Tensor resize_bias_table(const Tensor& table, ops::Window from, ops::Window to);

}  // namespace gcvit::weights
