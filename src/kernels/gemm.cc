// SPDX-License-Identifier: Apache-2.0
#include "kernels/gemm.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "kernels/arena.h"
#include "base/half.h"
#include "kernels/gemm_i8.h"
#include "kernels/operand.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm.cc"
#include "kernels/highway.h"

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/activate-inl.h"
#include "kernels/bf16-inl.h"
#include "kernels/gemm-inl.h"
#include "kernels/math-inl.h"
#include "kernels/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gcvit::kernels::HWY_NAMESPACE {

std::int32_t panel_width_impl() { return static_cast<std::int32_t>(kPanelVectors * hn::Lanes(FloatTag())); }

OperandForm operand_form_impl(Precision precision) { return operand_form(precision); }

/// From a block's sums to C: bias, activation, gamma and residual.
void finish_tiles(const float* sums, std::int32_t rows, std::int32_t columns, const Panel& panel,
                  GemmActivation activation, float* const* c, const float* const* residual) {
  const FloatTag d;
  for (std::int32_t r = 0; r < rows; ++r) {
    for_each_vector(d, columns, [&](std::int64_t first, auto part) HWY_ATTR {
      FloatVec sum = hn::Add(hn::LoadU(d, sums + r * kTileBlock + first), hn::LoadU(d, panel.bias + first));
      if (residual != nullptr) {
        const FloatVec input = part.load(d, residual[r] + panel.c_offset + first);
        sum = panel.gamma != nullptr ? hn::MulAdd(part.load(d, panel.gamma + first), sum, input) : hn::Add(sum, input);
      }
      if (activation == GemmActivation::kGelu) sum = gelu(d, sum);
      if (activation == GemmActivation::kSigmoid) sum = sigmoid(d, sum);
      part.store(d, sum, c[r] + panel.c_offset + first);
    });
  }
}

/// gemm_impl for weights in the form of matrix tiles.
void gemm_tiles(const PackedWeights& weights, const GemmRows& rows, const GemmEpilogue& epilogue,
                std::int32_t first_panel, std::int32_t last_panel) {
  const TileScope scope;
  constexpr std::int32_t kLanes = kTileBlock / kPanelVectors;
  HWY_ALIGN float sums[kTileBlock * kTileBlock];
  const std::int64_t stride = operand_stride(weights);
  for (std::int32_t p = first_panel; p < last_panel; ++p) {
    const std::int32_t column = p * kTileBlock;
    const std::int32_t columns = std::min(kTileBlock, weights.columns - column);
    const Panel panel{.b = weights.panels.data() + p * weights.panel_stride(),
                      .b_stride = kTileBlock,
                      .c_offset = column - rows.first_column,
                      .bias = weights.bias.data() + column,
                      .gamma = epilogue.gamma == nullptr ? nullptr : epilogue.gamma + column};
    for (std::int32_t first = 0; first < rows.count; first += kTileBlock) {
      const std::int32_t count = std::min(kTileBlock, rows.count - first);
      multiply_tiles({.a = rows.operand + first * stride,
                      .a_stride = stride,
                      .a_tap_stride = weights.depth(),
                      .b = panel.b,
                      .b_stride = panel.b_stride,
                      .taps = weights.taps,
                      .depth = weights.depth(),
                      .rows = count,
                      .vectors = columns <= kLanes ? 1 : kPanelVectors},
                     sums);
      finish_tiles(sums, count, columns, panel, epilogue.activation, rows.c + first,
                   rows.residual == nullptr ? nullptr : rows.residual + first);
    }
  }
}

/// Where the taps' rows lie in the operand, [taps][count], until the next call.
const float* const* rows_of_operand(const PackedWeights& weights, const GemmRows& rows) {
  static thread_local std::vector<const float*> pointers;
  pointers.resize(static_cast<std::size_t>(weights.taps) * static_cast<std::size_t>(rows.count));
  const std::int64_t stride = operand_stride(weights);
  auto to = pointers.begin();
  for (std::int32_t tap = 0; tap < weights.taps; ++tap) {
    const float* from = rows.operand + std::int64_t{tap} * weights.depth();
    for (std::int32_t r = 0; r < rows.count; ++r, from += stride) *to++ = from;
  }
  return pointers.data();
}

void gemm_impl(const PackedWeights& weights, const GemmRows& rows, const GemmEpilogue& epilogue,
               std::int32_t first_panel, std::int32_t last_panel) {
  if (weights.form == OperandForm::kTiles) return gemm_tiles(weights, rows, epilogue, first_panel, last_panel);
  const bool halves = weights.form == OperandForm::kHalves;
  const float* const* a = rows.operand == nullptr ? rows.a : rows_of_operand(weights, rows);
  const FloatTag d;
  const auto lanes = static_cast<std::int32_t>(hn::Lanes(d));
  const std::int32_t width = kPanelVectors * lanes;
  // The last panel may be narrower than its vectors: its rows go through a block of their own.
  HWY_ALIGN float tail_c[kTileRows][kPanelVectors * hn::MaxLanes(FloatTag())];
  HWY_ALIGN float tail_residual[kTileRows][kPanelVectors * hn::MaxLanes(FloatTag())];
  HWY_ALIGN float tail_gamma[kPanelVectors * hn::MaxLanes(FloatTag())] = {};

  for (std::int32_t p = first_panel; p < last_panel; ++p) {
    const std::int32_t column = p * width;
    const std::int32_t columns = std::min(width, weights.columns - column);
    const std::int32_t vectors = columns <= lanes ? 1 : kPanelVectors;
    const bool tail = columns != vectors * lanes;
    const std::int32_t offset = column - rows.first_column;
    Panel panel{.b = weights.panels.data() + p * weights.panel_stride(),
                .b_stride = weights.row_stride(),
                .c_offset = tail ? 0 : offset,
                .bias = weights.bias.data() + column,
                .gamma = epilogue.gamma == nullptr ? nullptr : epilogue.gamma + column};
    if (tail && panel.gamma != nullptr) {
      std::copy_n(panel.gamma, columns, tail_gamma);
      panel.gamma = tail_gamma;
    }
    for_each_row_block(rows.count, [&](std::int32_t first, std::int32_t count) {
      float* tail_c_rows[kTileRows];
      const float* tail_residual_rows[kTileRows];
      float* const* c = rows.c + first;
      const float* const* residual = rows.residual == nullptr ? nullptr : rows.residual + first;
      if (tail) {
        for (std::int32_t r = 0; r < count; ++r) {
          tail_c_rows[r] = tail_c[r];
          tail_residual_rows[r] = tail_residual[r];
          if (residual != nullptr) std::copy_n(residual[r] + offset, columns, tail_residual[r]);
        }
        c = tail_c_rows;
        residual = residual == nullptr ? nullptr : tail_residual_rows;
      }
      const GemmBlock block = weights.form == OperandForm::kPairs ? gemm_pairs_block(count, vectors)
                              : halves && vectors == 1            ? gemm_block_for<1, true>(count)
                              : halves                            ? gemm_block_for<kPanelVectors, true>(count)
                              : vectors == 1                      ? gemm_block_for<1>(count)
                                                                  : gemm_block_for<kPanelVectors>(count);
      block(a + first, rows.count, weights.taps, weights.depth(), panel, c, residual);
      if (epilogue.activation != GemmActivation::kNone) {
        activate(epilogue.activation, c, panel.c_offset, count, vectors);
      }
      if (tail) {
        for (std::int32_t r = 0; r < count; ++r) std::copy_n(tail_c[r], columns, rows.c[first + r] + offset);
      }
    });
  }
}

}  // namespace gcvit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gcvit::kernels {

HWY_EXPORT(panel_width_impl);
HWY_EXPORT(operand_form_impl);
HWY_EXPORT(gemm_impl);

std::int32_t panel_width() { return HWY_DYNAMIC_DISPATCH(panel_width_impl)(); }

std::int64_t PackedWeights::panel_stride() const {
  if (is_i8()) return i8_panel_stride(*this);
  return std::int64_t{taps} * depth() * row_stride();
}

std::int64_t PackedWeights::row_stride() const {
  return form == OperandForm::kHalves ? panel_width() / 2 : panel_width();
}

void gemm(const PackedWeights& weights, const GemmRows& rows, const GemmEpilogue& epilogue, std::int32_t first_panel,
          std::int32_t last_panel) {
  if (rows.count == 0) return;
  GemmRows rounded = rows;
  if (rows.operand == nullptr && operand_stride(weights) != 0) {
    static thread_local AlignedBuffer operand;
    if (const std::int64_t size = operand_size(weights, rows.count); operand.size() < size)
      operand = AlignedBuffer(size);
    round_operand(weights, rows.a, rows.count, operand.data());
    rounded.operand = operand.data();
  }
  if (weights.is_i8()) return gemm_i8(weights, rounded, epilogue, first_panel, last_panel);
  HWY_DYNAMIC_DISPATCH(gemm_impl)(weights, rounded, epilogue, first_panel, last_panel);
}

void allocate(const float* bias, std::int32_t columns, std::int32_t taps, std::int32_t k, PackedWeights& packed,
              Precision precision, Arena* arena) {
  const std::int64_t width = panel_width();
  const std::int64_t panels = panel_count(columns);
  packed.columns = columns;
  packed.taps = taps;
  packed.k = k;
  packed.form = HWY_DYNAMIC_DISPATCH(operand_form_impl)(precision);
  // The last row of halves ends half a float further.
  const std::int64_t floats = panels * packed.panel_stride() + (packed.form == OperandForm::kHalves ? 1 : 0);
  reserve(packed.panels, floats, arena);
  reserve(packed.bias, panels * width, arena);
  std::fill_n(packed.bias.data(), packed.bias.size(), 0.0f);
  if (bias != nullptr) std::copy_n(bias, columns, packed.bias.data());
}

namespace {

/// Bytes from the beginning of a row of halves to number `j` (load_half_vector); its vectors are `lanes` long.
std::int64_t half_offset(std::int64_t j, std::int64_t lanes) {
  return 2 * (j < lanes ? 2 * j + 1 : 2 * (j - lanes) + 2);
}

/// Writes `count` numbers, value(j) for the `filled` first ones and zeros.
template <typename Value>
void put_halves(float* row, std::int64_t count, std::int64_t filled, const Value& value) {
  for (std::int64_t j = 0; j < count; ++j) {
    const std::uint16_t half = bf16_from_f32(j < filled ? value(j) : 0.0f);
    std::memcpy(reinterpret_cast<char*>(row) + half_offset(j, count / 2), &half, sizeof(half));
  }
}

float half_of(const float* row, std::int64_t j, std::int64_t lanes) {
  std::uint16_t half;
  std::memcpy(&half, reinterpret_cast<const char*>(row) + half_offset(j, lanes), sizeof(half));
  return f32_from_bf16(half);
}

/// Row `i` of a panel in the packed form, from value(k, j), the weight of input k in the panel's column j; zeros beyond
/// the `filled` columns and the last k.
template <typename Value>
void pack_row(const PackedWeights& packed, std::int64_t i, std::int64_t filled, float* to, const Value& value) {
  switch (packed.form) {
    case OperandForm::kF32:
      for (std::int64_t j = 0; j < filled; ++j) to[j] = value(i, j);
      break;
    case OperandForm::kRounded:
      for (std::int64_t j = 0; j < filled; ++j) to[j] = f32_from_bf16(bf16_from_f32(value(i, j)));
      break;
    case OperandForm::kHalves:
      return put_halves(to, panel_width(), filled, [&](std::int64_t j) { return value(i, j); });
    case OperandForm::kPairs:
    case OperandForm::kTiles:
      for (std::int64_t j = 0; j < filled; ++j) {
        to[j] = pair_of(2 * i < packed.k ? value(2 * i, j) : 0.0f, 2 * i + 1 < packed.k ? value(2 * i + 1, j) : 0.0f);
      }
      break;
    case OperandForm::kI8:
    case OperandForm::kI8Pairs:
    case OperandForm::kI8Quads: fail("[native] int8 weights are packed from int8");
  }
  std::fill(to + filled, to + panel_width(), 0.0f);
}

}  // namespace

void pack_panels(const float* weights, PackedWeights& packed, std::int32_t first_panel, std::int32_t last_panel) {
  constexpr std::int64_t kTile = 16;  // of a row: a cache line of floats
  const std::int64_t width = panel_width();
  const std::int64_t stride = packed.row_stride();
  const std::int64_t row = std::int64_t{packed.taps} * packed.k;
  for (std::int64_t panel = first_panel; panel < last_panel; ++panel) {
    float* to = packed.panels.data() + panel * packed.panel_stride();
    const std::int64_t filled = std::min(width, packed.columns - panel * width);
    const float* from = weights + panel * width * row;
    for (std::int32_t tap = 0; tap < packed.taps; ++tap, from += packed.k) {
      const std::int64_t depth = packed.depth();
      for (std::int64_t begin = 0; begin < depth; begin += kTile) {
        for (std::int64_t i = begin; i < std::min(begin + kTile, depth); ++i) {
          pack_row(packed, i, filled, to + i * stride,
                   [&](std::int64_t k, std::int64_t j) { return from[j * row + k]; });
        }
      }
      to += depth * stride;
    }
  }
}

namespace {

/// Of weights that are stored as they are: blocks of rows, whose cache lines are read once for all columns.
void unpack_plain_panel(const PackedWeights& packed, std::int64_t panel, float* weights) {
  constexpr std::int64_t kBlock = 16;
  const std::int64_t width = panel_width();
  const std::int64_t filled = std::min<std::int64_t>(width, packed.columns - panel * width);
  const std::int64_t stride = packed.row_stride();
  const std::int64_t row = std::int64_t{packed.taps} * packed.k;
  const float* from = packed.panels.data() + panel * packed.panel_stride();
  for (std::int32_t tap = 0; tap < packed.taps; ++tap, from += packed.depth() * stride) {
    for (std::int64_t first = 0; first < packed.k; first += kBlock) {
      const std::int64_t end = std::min<std::int64_t>(first + kBlock, packed.k);
      for (std::int64_t j = 0; j < filled; ++j) {
        float* to = weights + (panel * width + j) * row + tap * packed.k;
        for (std::int64_t i = first; i < end; ++i) to[i] = from[i * stride + j];
      }
    }
  }
}

}  // namespace

void unpack_panels(const PackedWeights& packed, float* weights, std::int32_t first, std::int32_t last) {
  if (packed.is_i8()) fail("[native] int8 weights are unpacked as int8");
  const bool paired = packed.form == OperandForm::kPairs || packed.form == OperandForm::kTiles;
  const bool halves = packed.form == OperandForm::kHalves;
  const std::int64_t width = panel_width();
  const std::int64_t stride = packed.row_stride();
  if (!paired && !halves) {
    for (std::int64_t panel = first; panel < last; ++panel) unpack_plain_panel(packed, panel, weights);
    return;
  }
  const std::int64_t end = std::min<std::int64_t>(last * width, packed.columns);
  weights += first * width * packed.taps * packed.k;
  for (std::int64_t column = first * width; column < end; ++column) {
    const std::int64_t j = column % width;
    const float* from = packed.panels.data() + column / width * packed.panel_stride();
    for (std::int32_t tap = 0; tap < packed.taps; ++tap, from += packed.depth() * stride) {
      for (std::int64_t i = 0; i < packed.k; ++i) {
        *weights++ =
            halves ? half_of(from + i * stride, j, width / 2) : half_of_pair(from[i / 2 * stride + j], i % 2 != 0);
      }
    }
  }
}

void unpack_weights(const PackedWeights& packed, float* weights) {
  unpack_panels(packed, weights, 0, panel_count(packed.columns));
}

void pack_panel_transposed(std::span<const float* const> taps, PackedWeights& packed, std::int32_t panel) {
  const std::int64_t width = panel_width();
  const std::int64_t filled = std::min(width, packed.columns - panel * width);
  float* to = packed.panels.data() + panel * packed.panel_stride();
  for (const float* weights : taps) {
    const float* from = weights + panel * width;
    for (std::int64_t i = 0; i < packed.depth(); ++i, to += packed.row_stride()) {
      pack_row(packed, i, filled, to, [&](std::int64_t k, std::int64_t j) { return from[k * packed.columns + j]; });
    }
  }
}

PackedWeights pack_weights(const float* weights, const float* bias, std::int32_t columns, std::int32_t taps,
                           std::int32_t k, Precision precision) {
  PackedWeights packed;
  allocate(bias, columns, taps, k, packed, precision);
  pack_panels(weights, packed, 0, panel_count(columns));
  return packed;
}

}  // namespace gcvit::kernels
#endif  // HWY_ONCE
