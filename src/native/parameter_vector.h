// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/aligned_buffer.h"
#include "ops/parameter.h"

namespace gcvit::native {

/// One float for every element of every parameter of a model: its gradients, a moment of the optimiser, averaged
/// weights. Parameters lie in the order of their ids, each on a 64-byte boundary, in the layout of `Parameter::dims`.
class ParameterVector {
 public:
  ParameterVector() = default;
  /// All zeros. `parameters` are a model's: ids 0, 1, 2, ... (else throws `Error`).
  explicit ParameterVector(std::span<const ops::Parameter* const> parameters);

  std::span<float> of(const ops::Parameter& parameter);
  std::span<const float> of(const ops::Parameter& parameter) const;
  /// By the parameter's id.
  std::span<float> of(std::size_t id) {
    return {buffer_.data() + offsets_.at(id), static_cast<std::size_t>(sizes_.at(id))};
  }
  /// All floats, with the zeros that fill parameters up to their boundaries.
  std::span<float> all() { return {buffer_.data(), static_cast<std::size_t>(buffer_.size())}; }
  std::span<const float> all() const { return {buffer_.data(), static_cast<std::size_t>(buffer_.size())}; }
  /// Sets every float to zero.
  void clear();

 private:
  std::size_t index_of(const ops::Parameter& parameter) const;

  kernels::AlignedBuffer buffer_;
  std::vector<std::int64_t> offsets_;  ///< by id
  std::vector<std::int64_t> sizes_;
};

}  // namespace gcvit::native
