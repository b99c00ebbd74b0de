// SPDX-License-Identifier: Apache-2.0
#include "kernels/weight_gradient.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/weight_gradient.cc"
#include "kernels/highway.h"

#include <hwy/foreach_target.h>
#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include "kernels/gemm-inl.h"
#include "kernels/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gcvit::kernels::HWY_NAMESPACE {

/// Rows n that are summed in registers before C is touched, at most: a line of each and a packed panel fit L1.
inline constexpr std::int64_t kStretch = 128;
/// Vectors of columns that go together: a stretch of B packed for them fits L2 and serves all rows of C.
inline constexpr std::int32_t kGroupPanels = 16;

std::int64_t weight_gradient_scratch_size_impl() {
  return kStretch * kGroupPanels * kPanelVectors * static_cast<std::int64_t>(hn::Lanes(FloatTag()));
}

/// Columns [column, column + columns) of `count` rows of B -> panels [count][width], zeros beyond the last column.
void pack_columns(const float* const* b, std::int64_t count, std::int32_t column, std::int32_t columns,
                  std::int32_t width, float* packed) {
  const FloatTag d;
  const auto lanes = static_cast<std::int32_t>(hn::Lanes(d));
  const std::int32_t panels = (columns + width - 1) / width;
  for (std::int64_t n = 0; n < count; ++n) {
    for (std::int32_t panel = 0; panel < panels; ++panel) {
      const float* from = b[n] + column + panel * width;
      float* to = packed + (panel * count + n) * width;
      const std::int32_t filled = std::min(width, columns - panel * width);
      if (filled == width) {
        for (std::int32_t v = 0; v < kPanelVectors; ++v) hn::Store(hn::LoadU(d, from + v * lanes), d, to + v * lanes);
      } else {
        std::fill(std::copy_n(from, filled, to), to + width, 0.0f);
      }
    }
  }
}

/// Floats between the rows of A that `pack_rows` writes: kTileRows and what fills their last vector.
inline constexpr std::int64_t kPackedRow = 16;

/// a[n][row .. row + rows) of `count` rows, side by side. In A they lie as far apart as its rows, often in a few sets of
/// the cache alone, which can't keep them from one panel to the next.
void pack_rows(const float* const* a, std::int64_t count, std::int64_t row, std::int32_t rows, float* packed) {
  const FloatTag d;
  const auto lanes = static_cast<std::int32_t>(hn::Lanes(d));
  for (std::int32_t first = 0; first < rows; first += lanes) {
    const auto mask = hn::FirstN(d, static_cast<std::size_t>(std::min(lanes, rows - first)));
    for (std::int64_t n = 0; n < count; ++n) {
      hn::Store(hn::MaskedLoad(mask, d, a[n] + row + first), d, packed + n * kPackedRow + first);
    }
  }
}

void weight_gradient_impl(const WeightGradient& product) {
  const FloatTag d;
  const auto lanes = static_cast<std::int32_t>(hn::Lanes(d));
  const std::int32_t width = kPanelVectors * lanes;
  HWY_ALIGN float packed_rows[kStretch * kPackedRow];
  HWY_ALIGN float tail[kTileRows][kPanelVectors * hn::MaxLanes(FloatTag())];
  const std::int64_t stretches = (product.count + kStretch - 1) / kStretch;
  for (std::int64_t stretch = 0; stretch < stretches; ++stretch) {
    const std::int64_t begin = product.count * stretch / stretches;
    const std::int64_t count = product.count * (stretch + 1) / stretches - begin;
    const float* const* a = product.a + begin;
    for (std::int32_t group = 0; group < product.columns; group += kGroupPanels * width) {
      const std::int32_t group_columns = std::min(kGroupPanels * width, product.columns - group);
      const std::int32_t first_column = product.first_column + group;
      pack_columns(product.b + begin, count, first_column, group_columns, width, product.scratch);
      for_each_row_block(product.rows, [&](std::int32_t first, std::int32_t rows) HWY_ATTR {
        const std::int64_t row = product.first_row + first;
        pack_rows(a, count, row, rows, packed_rows);
        // The next rows' part of A lies in lines far apart, which no hardware prefetcher sees coming: they are asked for
        // bit by bit while these rows are computed.
        const std::int64_t next =
            row + rows + kTileRows <= product.first_row + product.rows ? row + rows + kTileRows - 1 : row;
        const std::int64_t share = (count * width + group_columns - 1) / group_columns;
        std::int64_t asked = 0;
        for (std::int32_t column = 0; column < group_columns; column += width) {
          const std::int32_t columns = std::min(width, group_columns - column);
          const bool whole = columns == lanes || columns == width;
          float* c[kTileRows];
          for (std::int32_t r = 0; r < rows; ++r) {
            float* const at = product.c + (row + r) * product.c_stride + first_column + column;
            c[r] = whole ? at : tail[r];
            if (!whole) std::fill(std::copy_n(at, columns, tail[r]), tail[r] + width, 0.0f);
          }
          for (const std::int64_t end = std::min(count, asked + share); asked < end; ++asked) {
            hwy::Prefetch(a[asked] + next);
          }
          const Panel panel{.b = product.scratch + column * count,
                            .b_stride = width,
                            .c_offset = 0,
                            .bias = nullptr,
                            .gamma = nullptr,
                            .accumulate = true};
          transposed_block_for(rows, columns)(packed_rows, kPackedRow, count, panel, c);
          for (std::int32_t r = 0; !whole && r < rows; ++r) {
            std::copy_n(tail[r], columns, product.c + (row + r) * product.c_stride + first_column + column);
          }
        }
      });
    }
  }
}

}  // namespace gcvit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gcvit::kernels {

HWY_EXPORT(weight_gradient_scratch_size_impl);
HWY_EXPORT(weight_gradient_impl);

std::int64_t weight_gradient_scratch_size() { return HWY_DYNAMIC_DISPATCH(weight_gradient_scratch_size_impl)(); }

void weight_gradient(const WeightGradient& product) { HWY_DYNAMIC_DISPATCH(weight_gradient_impl)(product); }

}  // namespace gcvit::kernels
#endif  // HWY_ONCE
