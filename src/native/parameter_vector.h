// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/aligned_buffer.h"
#include "ops/parameter.h"
#include "ops/training_executor.h"

namespace gcvit::native {

/// In this process' memory. Parameters lie in the order of their ids, each on a 64-byte boundary.
class ParameterVector final : public ops::ParameterVector {
 public:
  ParameterVector() = default;
  /// All zeros. `parameters` are a model's: ids 0, 1, 2, ... (else throws `Error`).
  explicit ParameterVector(std::span<const ops::Parameter* const> parameters);

  std::span<const float> read(const ops::Parameter& parameter) const override { return of(parameter); }
  void write(const ops::Parameter& parameter, std::span<const float> values) override;

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

/// A vector that this backend made, as what it is; throws `Error` for one of another executor.
ParameterVector& own(ops::ParameterVector& vector);
const ParameterVector& own(const ops::ParameterVector& vector);

}  // namespace gcvit::native
