// SPDX-License-Identifier: Apache-2.0
#include "weights/strided_copy.h"

#include <cstring>
#include <memory>
#include <utility>

#include "tensor/error.h"

namespace gcvit::weights {
namespace {

template <typename Element>
void copy_elements(const std::byte* from, const Dims& dims, const Dims& strides, std::byte* to) {
  if (dims.empty()) {
    std::memcpy(to, from, sizeof(Element));
    return;
  }
  const std::size_t last = dims.size() - 1;
  Dims index(dims.size(), 0);
  std::int64_t row = 0;
  for (;;) {
    for (std::int64_t i = 0; i < dims[last]; ++i) {
      std::memcpy(to, from + (row + i * strides[last]) * std::int64_t{sizeof(Element)}, sizeof(Element));
      to += sizeof(Element);
    }
    std::size_t axis = last;
    for (;;) {
      if (axis == 0) return;
      --axis;
      row += strides[axis];
      if (++index[axis] < dims[axis]) break;
      row -= dims[axis] * strides[axis];
      index[axis] = 0;
    }
  }
}

}  // namespace

std::optional<std::int64_t> reach_of(const Dims& dims, const Dims& strides) {
  std::int64_t reach = 1;
  std::int64_t bytes = sizeof(std::uint64_t);
  bool nothing = false;
  for (std::size_t axis = 0; axis < dims.size(); ++axis) {
    if (dims[axis] < 0 || strides[axis] < 0) return std::nullopt;
    if (dims[axis] == 0) {
      nothing = true;
      continue;
    }
    std::int64_t way = 0;
    if (__builtin_mul_overflow(dims[axis] - 1, strides[axis], &way) || __builtin_add_overflow(reach, way, &reach) ||
        __builtin_mul_overflow(bytes, dims[axis], &bytes)) {
      return std::nullopt;
    }
  }
  return nothing ? 0 : reach;
}

Tensor copy_strided(DType dtype, Dims dims, const Dims& strides, std::span<const std::byte> bytes) {
  const std::size_t element_size = size_of(dtype);
  const std::optional<std::int64_t> reach = reach_of(dims, strides);
  if (!reach || static_cast<std::uint64_t>(*reach) > bytes.size() / element_size) {
    fail("[tensor] {} with strides {} leaves its {} bytes", to_string(dims), to_string(strides), bytes.size());
  }
  if (*reach == 0) return Tensor(dtype, std::move(dims));
  const std::size_t size = static_cast<std::size_t>(element_count(dims)) * element_size;
  const std::shared_ptr<std::byte[]> copy = std::make_shared_for_overwrite<std::byte[]>(size);
  switch (element_size) {
    case 1: copy_elements<std::uint8_t>(bytes.data(), dims, strides, copy.get()); break;
    case 2: copy_elements<std::uint16_t>(bytes.data(), dims, strides, copy.get()); break;
    case 4: copy_elements<std::uint32_t>(bytes.data(), dims, strides, copy.get()); break;
    default: copy_elements<std::uint64_t>(bytes.data(), dims, strides, copy.get()); break;
  }
  return Tensor(dtype, std::move(dims), copy, {copy.get(), size});
}

}  // namespace gcvit::weights
