// SPDX-License-Identifier: Apache-2.0
#include "kernels/weight_gradient.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/weight_gradient.cc"
#include "kernels/highway.h"

#include <hwy/foreach_target.h>
#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include "kernels/bf16-inl.h"
#include "kernels/gemm-inl.h"
#include "kernels/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gcvit::kernels::HWY_NAMESPACE {

/// Rows n that are summed in registers before C is touched, at most: a line of each and a packed panel fit L1.
inline constexpr std::int64_t kChunk = 128;
/// Vectors of columns that go together: a chunk of B packed for them fits L2 and serves all rows of C.
inline constexpr std::int32_t kGroupPanels = 16;

std::int64_t weight_gradient_scratch_size_impl() {
  return kChunk * kGroupPanels * kPanelVectors * static_cast<std::int64_t>(hn::Lanes(FloatTag()));
}

/// Elements [column, column + columns) of `count` rows in an operand's form: vector `first` / lanes of row, or pair of
/// rows, `i` goes to place(i, first). The last vector is filled up with zeros.
template <class Place>
HWY_INLINE void pack(OperandForm form, const float* const* from, std::int64_t count, std::int64_t column,
                     std::int32_t columns, const Place& place) {
  const FloatTag d;
  const auto lanes = static_cast<std::int32_t>(hn::Lanes(d));
  const bool pairs = form == OperandForm::kPairs || form == OperandForm::kTiles;
  const std::int64_t step = pairs ? 2 : 1;
  for (std::int64_t n = 0; n < count; n += step) {
    for (std::int32_t first = 0; first < columns; first += lanes) {
      const auto load = [&](std::int64_t row) HWY_ATTR {
        const float* at = from[row] + column + first;
        if (first + lanes <= columns) return hn::LoadU(d, at);
        return FirstLanes{static_cast<std::size_t>(columns - first)}.load(d, at);
      };
      FloatVec vector = load(n);
      if (form == OperandForm::kRounded) vector = rounded(d, vector);
      if (pairs) vector = paired(d, vector, n + 1 < count ? load(n + 1) : hn::Zero(d));
      hn::Store(vector, d, place(n / step, first));
    }
  }
}

/// Columns [column, column + columns) of `count` rows of B -> panels [depth][width].
void pack_columns(OperandForm form, const float* const* b, std::int64_t count, std::int64_t depth, std::int32_t column,
                  std::int32_t columns, float* packed) {
  const auto width = static_cast<std::int32_t>(kPanelVectors * hn::Lanes(FloatTag()));
  pack(form, b, count, column, columns, [&](std::int64_t i, std::int32_t first) {
    return packed + (first / width * depth + i) * width + first % width;
  });
}

/// Floats between the rows of A that `pack_rows` writes: kTileRows and what fills their last vector.
inline constexpr std::int64_t kPackedRow = 16;

/// a[n][row .. row + rows) of `count` rows, side by side. In A they lie as far apart as its rows, often in a few sets of
/// the cache alone, which can't keep them from one panel to the next.
void pack_rows(OperandForm form, const float* const* a, std::int64_t count, std::int64_t row, std::int32_t rows,
               float* packed) {
  pack(form, a, count, row, rows, [&](std::int64_t i, std::int32_t first) { return packed + i * kPackedRow + first; });
}

/// The product by matrix tiles. A chunk has twice the rows: its sums come in memory and not in registers.
void weight_gradient_tiles(const WeightGradient& product) {
  constexpr std::int64_t kPairs = kChunk;
  const FloatTag d;
  const TileScope scope;
  HWY_ALIGN float columns_of_a[kPairs * kTileDepth];
  HWY_ALIGN float rows_of_a[kTileBlock * kPairs];
  HWY_ALIGN float sums[kTileBlock * kTileBlock];
  const std::int64_t chunks = (product.count + 2 * kPairs - 1) / (2 * kPairs);
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    const std::int64_t begin = product.count * chunk / chunks;
    const std::int64_t count = product.count * (chunk + 1) / chunks - begin;
    const std::int64_t pairs = operand_depth(OperandForm::kPairs, count);
    const std::int64_t depth = operand_depth(OperandForm::kTiles, count);
    for (std::int32_t group = 0; group < product.columns; group += kGroupPanels * kTileBlock) {
      const std::int32_t group_columns = std::min(kGroupPanels * kTileBlock, product.columns - group);
      const std::int32_t first_column = product.first_column + group;
      pack_columns(OperandForm::kTiles, product.b + begin, count, depth, first_column, group_columns, product.scratch);
      for (std::int32_t panel = 0; panel < group_columns; panel += kTileBlock) {
        std::fill_n(product.scratch + (panel / kTileBlock * depth + pairs) * kTileBlock, (depth - pairs) * kTileBlock,
                    0.0f);
      }
      for (std::int32_t first = 0; first < product.rows; first += kTileBlock) {
        const std::int32_t rows = std::min(kTileBlock, product.rows - first);
        for (std::int32_t half = 0; half < rows; half += kTileDepth) {
          pack_rows(OperandForm::kTiles, product.a + begin, count, product.first_row + first + half,
                    std::min(kTileDepth, rows - half), columns_of_a);
          std::fill_n(columns_of_a + pairs * kTileDepth, (depth - pairs) * kTileDepth, 0.0f);
          for (std::int64_t i = 0; i < depth; i += kTileDepth) {
            transpose_pairs(columns_of_a + i * kTileDepth, rows_of_a + half * depth + i, depth);
          }
        }
        for (std::int32_t column = 0; column < group_columns; column += kTileBlock) {
          const std::int32_t columns = std::min(kTileBlock, group_columns - column);
          multiply_tiles({.a = rows_of_a,
                          .a_stride = depth,
                          .a_tap_stride = 0,
                          .b = product.scratch + column * depth,
                          .b_stride = kTileBlock,
                          .taps = 1,
                          .depth = static_cast<std::int32_t>(depth),
                          .rows = rows,
                          .vectors = columns <= kTileBlock / kPanelVectors ? 1 : kPanelVectors},
                         sums);
          for (std::int32_t r = 0; r < rows; ++r) {
            float* const c = product.c + (product.first_row + first + r) * product.c_stride + first_column + column;
            for_each_vector(d, columns, [&](std::int64_t at, auto part) HWY_ATTR {
              part.store(d, hn::Add(part.load(d, c + at), hn::LoadU(d, sums + r * kTileBlock + at)), c + at);
            });
          }
        }
      }
    }
  }
}

void weight_gradient_impl(const WeightGradient& product) {
  const FloatTag d;
  const auto lanes = static_cast<std::int32_t>(hn::Lanes(d));
  const std::int32_t width = kPanelVectors * lanes;
  const OperandForm form = operand_form(product.precision);
  if (form == OperandForm::kTiles) return weight_gradient_tiles(product);
  HWY_ALIGN float packed_rows[kChunk * kPackedRow];
  HWY_ALIGN float tail[kTileRows][kPanelVectors * hn::MaxLanes(FloatTag())];
  const std::int64_t chunks = (product.count + kChunk - 1) / kChunk;
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    const std::int64_t begin = product.count * chunk / chunks;
    const std::int64_t count = product.count * (chunk + 1) / chunks - begin;
    const std::int64_t depth = operand_depth(form, count);
    const float* const* a = product.a + begin;
    for (std::int32_t group = 0; group < product.columns; group += kGroupPanels * width) {
      const std::int32_t group_columns = std::min(kGroupPanels * width, product.columns - group);
      const std::int32_t first_column = product.first_column + group;
      pack_columns(form, product.b + begin, count, depth, first_column, group_columns, product.scratch);
      for_each_row_block(product.rows, [&](std::int32_t first, std::int32_t rows) HWY_ATTR {
        const std::int64_t row = product.first_row + first;
        pack_rows(form, a, count, row, rows, packed_rows);
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
          const Panel panel{.b = product.scratch + column * depth,
                            .b_stride = width,
                            .c_offset = 0,
                            .bias = nullptr,
                            .gamma = nullptr,
                            .accumulate = true};
          const TransposedBlock block = form == OperandForm::kPairs
                                            ? transposed_pairs_block(rows, columns <= lanes ? 1 : kPanelVectors)
                                            : transposed_block_for(rows, columns);
          block(packed_rows, kPackedRow, depth, panel, c);
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
