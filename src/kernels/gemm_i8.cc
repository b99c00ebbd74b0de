// SPDX-License-Identifier: Apache-2.0
#include "kernels/gemm_i8.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>

#include "base/error.h"
#include "kernels/arena.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm_i8.cc"
#include "kernels/highway.h"

#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/activate-inl.h"
#include "kernels/gemm-inl.h"
#include "kernels/i8_quads.h"
#include "kernels/math-inl.h"
#include "kernels/operand.h"
#include "kernels/partial-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gcvit::kernels::HWY_NAMESPACE {

using IntTag = hn::RebindToSigned<FloatTag>;
using IntVec = hn::Vec<IntTag>;

#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
/// Pairs of int16, of which pmaddwd multiplies both and adds them: no product of bytes leaves its int32. On x86 alone does
/// ReorderWidenMulAccumulate keep each pair's sum in the pair's lane.
struct I8Step {
  static constexpr OperandForm kForm = OperandForm::kI8Pairs;
  using Tag = hn::Repartition<std::int16_t, IntTag>;
  using Columns = hn::Vec<Tag>;
  static HWY_INLINE Columns load(const std::int8_t* b) {
    return hn::PromoteTo(Tag(), hn::LoadU(hn::Rebind<std::int8_t, Tag>(), b));
  }
  static HWY_INLINE IntVec multiply_add(IntVec sum, IntVec word, Columns columns) {
    IntVec unused = sum;
    return hn::ReorderWidenMulAccumulate(IntTag(), hn::BitCast(Tag(), word), columns, sum, unused);
  }
};
#else
struct I8Step {
  static constexpr OperandForm kForm = OperandForm::kI8;
  using Columns = IntVec;
  static HWY_INLINE Columns load(const std::int8_t* b) {
    return hn::PromoteTo(IntTag(), hn::LoadU(hn::Rebind<std::int8_t, IntTag>(), b));
  }
  static HWY_INLINE IntVec multiply_add(IntVec sum, IntVec word, Columns columns) {
    return hn::Add(sum, hn::Mul(word, columns));
  }
};
#endif

template <int kRows, int kVectors>
HWY_NOINLINE void i8_block(const I8Operands& operands) {
  const IntTag d;
  const std::size_t lanes = hn::Lanes(d);
  const std::size_t vector_bytes = lanes * static_cast<std::size_t>(i8_group(I8Step::kForm));
  IntVec sums[kRows][kVectors];
  const unsigned char* rows[kRows];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
    rows[r] = operands.a + r * operands.a_stride;
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sums[r][v] = hn::Zero(d);
  }
  const std::int8_t* b = operands.b;
  for (std::int32_t i = 0; i < operands.steps; ++i, b += operands.b_stride) {
    I8Step::Columns columns[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) columns[v] = I8Step::load(b + static_cast<std::size_t>(v) * vector_bytes);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      const IntVec word = hn::Set(d, word_at(rows[r], i));
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sums[r][v] = I8Step::multiply_add(sums[r][v], word, columns[v]);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      hn::StoreU(sums[r][v], d, operands.sums + r * operands.sums_stride + static_cast<std::size_t>(v) * lanes);
    }
  }
}

template <int kVectors>
I8Block i8_block_for(std::int32_t rows) {
  static constexpr I8Block kBlocks[] = {
      i8_block<1, kVectors>,  i8_block<2, kVectors>,  i8_block<3, kVectors>,
      i8_block<4, kVectors>,  i8_block<5, kVectors>,  i8_block<6, kVectors>,
#if HWY_TARGET == HWY_AVX3 || HWY_ARCH_ARM
      i8_block<7, kVectors>,  i8_block<8, kVectors>,  i8_block<9, kVectors>,
      i8_block<10, kVectors>, i8_block<11, kVectors>, i8_block<12, kVectors>,
#endif
  };
  return kBlocks[rows - 1];
}

OperandForm i8_form_impl() {
  return has_i8_quads(static_cast<std::int32_t>(hn::Lanes(FloatTag()))) ? OperandForm::kI8Quads : I8Step::kForm;
}

I8Block block_of(OperandForm form, std::int32_t rows, std::int32_t vectors) {
  if (form == OperandForm::kI8Quads) {
    return i8_quads_block(static_cast<std::int32_t>(hn::Lanes(FloatTag())), rows, vectors);
  }
  return vectors == 1 ? i8_block_for<1>(rows) : i8_block_for<kPanelVectors>(rows);
}

/// end_in_c of sums in memory, with the activation: for what isn't whole vectors, and where blocks have no end.
template <GemmActivation kActivation>
void finish_sums(const std::int32_t* sums, std::int32_t rows, std::int32_t columns, const I8Ends& ends) {
  const FloatTag d;
  const IntTag di;
  const std::int64_t stride = kPanelVectors * static_cast<std::int64_t>(hn::Lanes(d));
  for_each_vector(d, columns, [&](std::int64_t first, auto part) HWY_ATTR {
    const FloatVec scale = hn::LoadU(d, ends.scales + first);
    const FloatVec bias = hn::LoadU(d, ends.bias + first);
    const FloatVec gamma = ends.gamma != nullptr ? part.load(d, ends.gamma + first) : hn::Set(d, 1.0f);
    const std::int64_t at = ends.c_offset + first;
    for (std::int32_t r = 0; r < rows; ++r) {
      const FloatVec integer = hn::ConvertTo(d, hn::LoadU(di, sums + r * stride + first));
      FloatVec sum = hn::MulAdd(integer, hn::Mul(hn::Set(d, ends.row_scales[r * ends.row_scale_stride]), scale), bias);
      if (ends.residual != nullptr) sum = hn::MulAdd(gamma, sum, part.load(d, ends.residual[r] + at));
      if (kActivation == GemmActivation::kGelu) sum = gelu(d, sum);
      if (kActivation == GemmActivation::kSigmoid) sum = sigmoid(d, sum);
      part.store(d, sum, ends.c[r] + at);
    }
  });
}

using FinishSums = void (*)(const std::int32_t* sums, std::int32_t rows, std::int32_t columns, const I8Ends& ends);

FinishSums finish_sums_for(GemmActivation activation) {
  switch (activation) {
    case GemmActivation::kGelu: return finish_sums<GemmActivation::kGelu>;
    case GemmActivation::kSigmoid: return finish_sums<GemmActivation::kSigmoid>;
    case GemmActivation::kNone: break;
  }
  return finish_sums<GemmActivation::kNone>;
}

void gemm_i8_impl(const PackedWeights& weights, const GemmRows& rows, const GemmEpilogue& epilogue,
                  std::int32_t first_panel, std::int32_t last_panel) {
  const auto lanes = static_cast<std::int32_t>(hn::Lanes(FloatTag()));
  const std::int32_t width = kPanelVectors * lanes;
  const FinishSums finish = finish_sums_for(epilogue.activation);
  const bool quads = weights.form == OperandForm::kI8Quads;
  const std::int64_t stride = operand_stride(weights);
  HWY_ALIGN std::int32_t sums[kTileRows * kPanelVectors * hn::MaxLanes(FloatTag())];
  for (std::int32_t p = first_panel; p < last_panel; ++p) {
    const std::int32_t column = p * width;
    const std::int32_t columns = std::min(width, weights.columns - column);
    const std::int32_t vectors = columns <= lanes ? 1 : kPanelVectors;
    I8Ends ends{.row_scales = nullptr,
                .row_scale_stride = stride,
                .scales = weights.scales.data() + column,
                .bias = weights.bias.data() + column,
                .gamma = epilogue.gamma == nullptr ? nullptr : epilogue.gamma + column,
                .c = nullptr,
                .residual = nullptr,
                .c_offset = column - rows.first_column};
    const bool ends_in_block = quads && columns == vectors * lanes;
    const auto* const start = reinterpret_cast<const std::int32_t*>(weights.panels.data() + p * weights.panel_stride());
    I8Operands operands{.a = nullptr,
                        .a_stride = stride * static_cast<std::int64_t>(sizeof(float)),
                        .b = reinterpret_cast<const std::int8_t*>(start + (quads ? width : 0)),
                        .b_stride = std::int64_t{width} * i8_group(weights.form),
                        .steps = weights.i8_steps(),
                        .start = start,
                        .sums = sums,
                        .sums_stride = width,
                        .ends = ends_in_block ? &ends : nullptr};
    for_each_row_block(rows.count, [&](std::int32_t first, std::int32_t count) {
      const float* const a = rows.operand + first * stride;
      operands.a = reinterpret_cast<const unsigned char*>(a);
      ends.row_scales = a + weights.i8_steps();
      ends.c = rows.c + first;
      ends.residual = rows.residual == nullptr ? nullptr : rows.residual + first;
      block_of(weights.form, count, vectors)(operands);
      if (ends_in_block) {
        activate(epilogue.activation, ends.c, ends.c_offset, count, vectors);
      } else {
        finish(sums, count, columns, ends);
      }
    });
  }
}

}  // namespace gcvit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gcvit::kernels {

HWY_EXPORT(i8_form_impl);
HWY_EXPORT(gemm_i8_impl);

void gemm_i8(const PackedWeights& weights, const GemmRows& rows, const GemmEpilogue& epilogue, std::int32_t first_panel,
             std::int32_t last_panel) {
  HWY_DYNAMIC_DISPATCH(gemm_i8_impl)(weights, rows, epilogue, first_panel, last_panel);
}

namespace {

/// Bytes in front of a panel's weights: where those of A are 128 above their number, what sums begin with for it.
std::int64_t start_bytes(OperandForm form) {
  return form == OperandForm::kI8Quads ? panel_width() * static_cast<std::int64_t>(sizeof(std::int32_t)) : 0;
}

/// Calls body(q's index, byte of its panel, panel's column) for the weights of a panel.
template <typename Body>
void for_each_weight(const PackedWeights& packed, std::int64_t panel, const Body& body) {
  const std::int64_t width = panel_width();
  const std::int64_t group = i8_group(packed.form);
  const std::int64_t row = std::int64_t{packed.taps} * packed.k;
  const std::int64_t filled = std::min(width, packed.columns - panel * width);
  for (std::int64_t j = 0; j < filled; ++j) {
    const std::int64_t from = (panel * width + j) * row;
    std::int64_t to = start_bytes(packed.form) + j * group;
    for (std::int64_t begin = 0; begin < row; begin += group, to += width * group) {
      for (std::int64_t i = 0; i < std::min(group, row - begin); ++i) body(from + begin + i, to + i, j);
    }
  }
}

}  // namespace

std::int64_t i8_panel_stride(const PackedWeights& weights) {
  const std::int64_t bytes =
      start_bytes(weights.form) + std::int64_t{weights.i8_steps()} * i8_group(weights.form) * panel_width();
  return (bytes + 3) / 4;
}

void allocate_i8(const float* scales, const float* bias, std::int32_t columns, std::int32_t taps, std::int32_t k,
                 PackedWeights& packed, Arena* arena) {
  constexpr std::int64_t kMostDepth = std::int64_t{1} << 16;
  if (std::int64_t{taps} * k > kMostDepth) {
    fail("[native] int8 weights: expected at most {} inputs a column, found {}", kMostDepth, std::int64_t{taps} * k);
  }
  const std::int64_t panels = panel_count(columns);
  packed.columns = columns;
  packed.taps = taps;
  packed.k = k;
  packed.form = HWY_DYNAMIC_DISPATCH(i8_form_impl)();
  reserve(packed.panels, panels * packed.panel_stride(), arena);
  for (AlignedBuffer* buffer : {&packed.bias, &packed.scales}) {
    reserve(*buffer, panels * panel_width(), arena);
    std::fill_n(buffer->data(), buffer->size(), 0.0f);
  }
  if (bias != nullptr) std::copy_n(bias, columns, packed.bias.data());
  std::copy_n(scales, columns, packed.scales.data());
}

void pack_i8_panels(const std::int8_t* q, PackedWeights& packed, std::int32_t first_panel, std::int32_t last_panel) {
  for (std::int64_t panel = first_panel; panel < last_panel; ++panel) {
    float* const memory = packed.panels.data() + panel * packed.panel_stride();
    std::memset(memory, 0, static_cast<std::size_t>(packed.panel_stride()) * sizeof(float));
    auto* const bytes = reinterpret_cast<std::int8_t*>(memory);
    for_each_weight(packed, panel, [&](std::int64_t from, std::int64_t to, std::int64_t) { bytes[to] = q[from]; });
    if (packed.form == OperandForm::kI8Quads) {
      auto* const start = reinterpret_cast<std::int32_t*>(memory);
      for_each_weight(packed, panel, [&](std::int64_t from, std::int64_t, std::int64_t j) {
        start[j] -= 128 * std::int32_t{q[from]};
      });
    }
  }
}

void unpack_i8_weights(const PackedWeights& packed, std::int8_t* q) {
  if (!packed.is_i8()) fail("[native] weights are not int8");
  for (std::int64_t panel = 0; panel < panel_count(packed.columns); ++panel) {
    const auto* const bytes =
        reinterpret_cast<const std::int8_t*>(packed.panels.data() + panel * packed.panel_stride());
    for_each_weight(packed, panel, [&](std::int64_t to, std::int64_t from, std::int64_t) { q[to] = bytes[from]; });
  }
}

PackedWeights pack_i8_weights(const std::int8_t* q, const float* scales, const float* bias, std::int32_t columns,
                              std::int32_t taps, std::int32_t k) {
  PackedWeights packed;
  allocate_i8(scales, bias, columns, taps, k, packed);
  pack_i8_panels(q, packed, 0, panel_count(columns));
  return packed;
}

}  // namespace gcvit::kernels
#endif  // HWY_ONCE
