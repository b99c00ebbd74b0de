// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "native/native_backend.h"
#include "ops/backend.h"

namespace gcvit::native {

/// Some whole output rows of one image.
struct RowBlock {
  std::int64_t image;
  std::int64_t first_row;
  std::int64_t rows;
};

/// Cuts the output maps of a batch into blocks of about `kTileRows` positions.
class RowBlocks {
 public:
  RowBlocks(const ops::Shape& output, std::int32_t batch);
  std::int64_t size() const { return size_; }
  std::int64_t most_rows() const { return rows_; }
  RowBlock operator[](std::int64_t index) const {
    const std::int64_t first_row = index % per_image_ * rows_;
    return {index / per_image_, first_row, std::min(rows_, height_ - first_row)};
  }

 private:
  std::int64_t height_;
  std::int64_t rows_;
  std::int64_t per_image_;
  std::int64_t size_;
};

/// Adds to the gradients of a strided convolution's weight and bias, those that are trained.
void add_convolution_gradients(NativeBackend::State& state, const ops::Value& x, const ops::Conv3x3& convolution,
                               const ops::Value& gradient);
/// The gradient of its input, whose shape is `map`.
ops::Value convolution_input_gradient(NativeBackend& backend, NativeBackend::State& state, const ops::Shape& map,
                                      const ops::Conv3x3& convolution, const ops::Value& gradient);

}  // namespace gcvit::native
