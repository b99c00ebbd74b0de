// SPDX-License-Identifier: Apache-2.0
#include "formats/strided_copy.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"

namespace gcvit::formats {
namespace {

/// One axis of the result: its length, and how far apart its neighbours lie here and there, in elements.
struct Axis {
  std::int64_t length;
  std::int64_t from;
  std::int64_t to;
};

constexpr std::int64_t kTile = 16;  ///< a cache line of floats: tiles of both sides stay in L1

/// Elements are moved by memcpy: a view of a file may begin anywhere.
template <std::size_t kWidth>
void copy_plane(const std::byte* from, std::byte* to, const Axis& rows, const Axis& columns) {
  for (std::int64_t r0 = 0; r0 < rows.length; r0 += kTile) {
    const std::int64_t r1 = std::min(r0 + kTile, rows.length);
    for (std::int64_t c0 = 0; c0 < columns.length; c0 += kTile) {
      const std::int64_t c1 = std::min(c0 + kTile, columns.length);
      for (std::int64_t r = r0; r < r1; ++r) {
        for (std::int64_t c = c0; c < c1; ++c) {
          std::memcpy(to + (r * rows.to + c * columns.to) * static_cast<std::int64_t>(kWidth),
                      from + (r * rows.from + c * columns.from) * static_cast<std::int64_t>(kWidth), kWidth);
        }
      }
    }
  }
}

/// The last two axes by tiles, those before them one by one.
template <std::size_t kWidth>
void copy_axes(const std::byte* from, std::byte* to, std::span<const Axis> axes) {
  if (axes.size() == 2) return copy_plane<kWidth>(from, to, axes[0], axes[1]);
  constexpr auto kBytes = static_cast<std::int64_t>(kWidth);
  for (std::int64_t i = 0; i < axes[0].length; ++i) {
    copy_axes<kWidth>(from + i * axes[0].from * kBytes, to + i * axes[0].to * kBytes, axes.subspan(1));
  }
}

/// The axes that elements are copied along, outermost first: at least two, and of those longer than 1 none is left out,
/// so there are at most 63. Innermost stand the one that is densest here and the one that is dense there.
std::vector<Axis> axes_of(const Dims& dims, const Dims& strides) {
  std::vector<Axis> axes;
  std::int64_t to = element_count(dims);
  for (std::size_t axis = 0; axis < dims.size(); ++axis) {
    to /= dims[axis];
    if (dims[axis] > 1) axes.push_back({dims[axis], strides[axis], to});
  }
  while (axes.size() < 2) axes.insert(axes.begin(), {1, 0, 0});
  const auto densest = std::ranges::min_element(axes.begin(), axes.end() - 1, {}, &Axis::from);
  std::rotate(densest, densest + 1, axes.end() - 1);
  return axes;
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
  const std::shared_ptr<std::byte[]> storage = std::make_shared_for_overwrite<std::byte[]>(size);
  const std::vector<Axis> axes = axes_of(dims, strides);
  switch (element_size) {
    case 1: copy_axes<1>(bytes.data(), storage.get(), axes); break;
    case 2: copy_axes<2>(bytes.data(), storage.get(), axes); break;
    case 4: copy_axes<4>(bytes.data(), storage.get(), axes); break;
    default: copy_axes<8>(bytes.data(), storage.get(), axes); break;
  }
  return Tensor(dtype, std::move(dims), storage, {storage.get(), size});
}

}  // namespace gcvit::formats
