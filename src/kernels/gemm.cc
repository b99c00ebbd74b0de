// SPDX-License-Identifier: Apache-2.0
#include "kernels/gemm.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm.cc"
#include "kernels/highway.h"

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/gemm-inl.h"
#include "kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gcvit::kernels::HWY_NAMESPACE {

std::int32_t panel_width_impl() { return static_cast<std::int32_t>(kPanelVectors * hn::Lanes(FloatTag())); }

/// Applies the activation to a block that has just been stored and is still in L1.
void activate(GemmActivation activation, float* const* c, std::int64_t c_offset, std::int32_t rows,
              std::int32_t vectors) {
  const FloatTag d;
  const std::size_t lanes = hn::Lanes(d);
  for (std::int32_t r = 0; r < rows; ++r) {
    for (std::int32_t v = 0; v < vectors; ++v) {
      float* at = c[r] + c_offset + static_cast<std::size_t>(v) * lanes;
      const FloatVec x = hn::LoadU(d, at);
      hn::StoreU(activation == GemmActivation::kGelu ? gelu(d, x) : sigmoid(d, x), d, at);
    }
  }
}

void gemm_impl(const PackedWeights& weights, const GemmRows& rows, const GemmEpilogue& epilogue,
               std::int32_t first_panel, std::int32_t last_panel) {
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
                .b_stride = width,
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
      const GemmBlock block = vectors == 1 ? gemm_block_for<1>(count) : gemm_block_for<kPanelVectors>(count);
      block(rows.a + first, rows.count, weights.taps, weights.k, panel, c, residual);
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
HWY_EXPORT(gemm_impl);

std::int32_t panel_width() { return HWY_DYNAMIC_DISPATCH(panel_width_impl)(); }

void gemm(const PackedWeights& weights, const GemmRows& rows, const GemmEpilogue& epilogue, std::int32_t first_panel,
          std::int32_t last_panel) {
  HWY_DYNAMIC_DISPATCH(gemm_impl)(weights, rows, epilogue, first_panel, last_panel);
}

void make_room(const float* bias, std::int32_t columns, std::int32_t taps, std::int32_t k, PackedWeights& packed) {
  const std::int64_t width = panel_width();
  const std::int64_t panels = panel_count(columns);
  packed.columns = columns;
  packed.taps = taps;
  packed.k = k;
  if (packed.panels.size() != panels * taps * k * width) packed.panels = AlignedBuffer(panels * taps * k * width);
  if (packed.bias.size() != panels * width) packed.bias = AlignedBuffer(panels * width);
  std::fill_n(packed.bias.data(), packed.bias.size(), 0.0f);
  if (bias != nullptr) std::copy_n(bias, columns, packed.bias.data());
}

void pack_panels(const float* weights, PackedWeights& packed, std::int32_t first_panel, std::int32_t last_panel) {
  constexpr std::int64_t kTile = 16;  // of a row: a cache line of floats
  const std::int64_t width = panel_width();
  const std::int64_t depth = std::int64_t{packed.taps} * packed.k;
  for (std::int64_t panel = first_panel; panel < last_panel; ++panel) {
    float* const to = packed.panels.data() + panel * packed.panel_stride();
    const std::int64_t filled = std::min(width, packed.columns - panel * width);
    for (std::int64_t begin = 0; begin < depth; begin += kTile) {
      const std::int64_t end = std::min(begin + kTile, depth);
      for (std::int64_t j = 0; j < filled; ++j) {
        const float* const from = weights + (panel * width + j) * depth;
        for (std::int64_t i = begin; i < end; ++i) to[i * width + j] = from[i];
      }
      for (std::int64_t i = begin; i < end; ++i) std::fill(to + i * width + filled, to + (i + 1) * width, 0.0f);
    }
  }
}

void pack_panel_transposed(std::span<const float* const> taps, PackedWeights& packed, std::int32_t panel) {
  const std::int64_t width = panel_width();
  const std::int64_t filled = std::min(width, packed.columns - panel * width);
  float* to = packed.panels.data() + panel * packed.panel_stride();
  for (const float* weights : taps) {
    for (std::int64_t i = 0; i < packed.k; ++i, to += width) {
      std::fill(std::copy_n(weights + i * packed.columns + panel * width, filled, to), to + width, 0.0f);
    }
  }
}

PackedWeights pack_weights(const float* weights, const float* bias, std::int32_t columns, std::int32_t taps,
                           std::int32_t k) {
  PackedWeights packed;
  make_room(bias, columns, taps, k, packed);
  pack_panels(weights, packed, 0, panel_count(columns));
  return packed;
}

}  // namespace gcvit::kernels
#endif  // HWY_ONCE
