// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/tensor.h"

namespace gcvit::formats {

/// A contiguous copy of the elements that `strides` (in elements) lead through from the beginning of `bytes`. Throws
/// `Error` when an element lies outside, so callers with a sentence of their own check before.
Tensor copy_strided(DType dtype, Dims dims, const Dims& strides, std::span<const std::byte> bytes);

/// How many elements a view reaches over, from its first to its last; 0 when it has none; nullopt for negative lengths
/// and strides, and when the reach or the bytes of a copy overflow.
std::optional<std::int64_t> reach_of(const Dims& dims, const Dims& strides);

}  // namespace gcvit::formats
