// SPDX-License-Identifier: Apache-2.0
#include "weights/permute.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "tensor/error.h"

namespace gcvit::weights {
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
void copy(const std::byte* from, std::byte* to, std::span<const Axis> axes) {
  if (axes.size() == 2) return copy_plane<kWidth>(from, to, axes[0], axes[1]);
  constexpr auto kBytes = static_cast<std::int64_t>(kWidth);
  for (std::int64_t i = 0; i < axes[0].length; ++i) {
    copy<kWidth>(from + i * axes[0].from * kBytes, to + i * axes[0].to * kBytes, axes.subspan(1));
  }
}

}  // namespace

Tensor permuted(const Tensor& tensor, std::initializer_list<std::size_t> order) {
  const Dims& dims = tensor.dims();
  const std::size_t rank = dims.size();
  std::vector<bool> seen(rank, false);
  bool valid = order.size() == rank;
  for (const std::size_t axis : order) {
    valid = valid && axis < rank && !seen[axis];
    if (valid) seen[axis] = true;
  }
  if (!valid) fail("[permute] expected an order of {} axes, found {{{}}}", rank, fmt::join(order, ", "));

  std::vector<std::int64_t> strides(rank, 1);
  for (std::size_t i = rank; i-- > 1;) strides[i - 1] = strides[i] * dims[i];
  Dims permuted_dims;
  for (const std::size_t axis : order) permuted_dims.push_back(dims[axis]);
  std::vector<Axis> axes;
  std::int64_t to = tensor.size();
  for (const std::size_t axis : order) {
    if (dims[axis] == 0) return Tensor(tensor.dtype(), permuted_dims);
    to /= dims[axis];
    axes.push_back({dims[axis], strides[axis], to});
  }
  while (axes.size() < 2) axes.insert(axes.begin(), {1, 0, 0});
  // Innermost stand the axis that is dense here and the one that is dense there.
  const auto dense_here = std::ranges::min_element(
      axes.begin(), axes.end() - 1, {}, [](const Axis& axis) { return axis.length == 1 ? INT64_MAX : axis.from; });
  std::rotate(dense_here, dense_here + 1, axes.end() - 1);

  Tensor result(tensor.dtype(), std::move(permuted_dims));
  const std::byte* const source = tensor.bytes().data();
  std::byte* const target = const_cast<std::byte*>(result.bytes().data());
  switch (size_of(tensor.dtype())) {
    case 1: copy<1>(source, target, axes); break;
    case 2: copy<2>(source, target, axes); break;
    case 4: copy<4>(source, target, axes); break;
    default: copy<8>(source, target, axes); break;
  }
  return result;
}

}  // namespace gcvit::weights
