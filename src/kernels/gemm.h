// SPDX-License-Identifier: Apache-2.0
// The dense product C = epilogue(A B + bias) that linear layers and convolutions share.
//
// A is given by row pointers, one set a tap: a linear layer has one tap; a 3x3 convolution has nine (or three of three
// pixels each), whose pointers reach into the map itself, so nothing is gathered. B is packed once into column panels.
// Every element of C is bias + a sum over (tap, k) in order, whatever rows and columns are computed together.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/aligned_buffer.h"

namespace gcvit::kernels {

/// Columns of a packed panel for the target in use: two vectors.
std::int32_t panel_width();

/// What a product's operands are rounded to; sums are f32 always. kBf16Weights rounds the weights alone where the CPU
/// has no instructions for bfloat16, and is kBf16 where it has.
enum class Precision : std::uint8_t { kF32, kBf16, kBf16Weights };

/// How operands lie: floats, floats that have been rounded to bfloat16, bfloat16 in half the room (weights alone; their
/// A are floats), or pairs of bfloat16 that are neighbours in k, each pair in the place of a float; for matrix tiles
/// filled up to a multiple of 16 pairs with zeros. Or bytes (gemm_i8.h), of which one, two or four neighbours in (tap,
/// k) lie together.
enum class OperandForm : std::uint8_t { kF32, kRounded, kHalves, kPairs, kTiles, kI8, kI8Pairs, kI8Quads };

/// Bytes that lie together in a form; 0 where it has none.
inline std::int32_t i8_group(OperandForm form) {
  return form < OperandForm::kI8 ? 0 : 1 << (static_cast<int>(form) - static_cast<int>(OperandForm::kI8));
}

/// Floats, or pairs, that `k` numbers of an operand take in a form.
inline std::int64_t operand_depth(OperandForm form, std::int64_t k) {
  if (form == OperandForm::kTiles) return (k + 31) / 32 * 16;
  return form == OperandForm::kPairs ? (k + 1) / 2 : k;
}

/// Weights in the form that the product reads: panels of panel_width() columns, each [taps * depth()][panel_width()], the
/// last one filled up with zeros; the bias likewise.
struct PackedWeights {
  std::int32_t columns = 0;  ///< output channels
  std::int32_t taps = 1;
  std::int32_t k = 0;  ///< input channels of a tap
  OperandForm form = OperandForm::kF32;
  AlignedBuffer panels;
  AlignedBuffer bias;  ///< zeros when the layer has none
  AlignedBuffer scales;  ///< of int8 weights alone: what each column's are multiplied by; filled up with zeros

  bool is_i8() const { return i8_group(form) != 0; }
  /// Floats, or the room of as many, from row to row of a panel.
  std::int64_t row_stride() const;
  /// Floats, or pairs, of a tap and column.
  std::int32_t depth() const { return static_cast<std::int32_t>(operand_depth(form, k)); }
  /// Groups of bytes of a column.
  std::int32_t i8_steps() const { return (taps * k + i8_group(form) - 1) / i8_group(form); }
  /// Floats, or the room of as many, from panel to panel.
  std::int64_t panel_stride() const;
};

/// Whether products with these weights round their other operand.
inline bool rounds(const PackedWeights& weights) {
  return weights.form != OperandForm::kF32 && weights.form != OperandForm::kHalves;
}

/// Packs `weights` [columns][taps * k]; `bias` [columns] or null.
PackedWeights pack_weights(const float* weights, const float* bias, std::int32_t columns, std::int32_t taps,
                           std::int32_t k, Precision precision = Precision::kF32);

/// The weights [columns][taps * k] that were packed, as they were rounded for it; throws `Error` for int8 ones.
void unpack_weights(const PackedWeights& packed, float* weights);
/// The same of panels [first, last) alone, so that threads can share them; `weights` are all columns'.
void unpack_panels(const PackedWeights& packed, float* weights, std::int32_t first, std::int32_t last);

/// `pack_weights` in two steps, of which threads can share the second: memory (that of `packed` is used again where it has
/// the size, else `arena`'s if given) and the bias, then panels [first_panel, last_panel) of it.
void allocate(const float* bias, std::int32_t columns, std::int32_t taps, std::int32_t k, PackedWeights& packed,
              Precision precision = Precision::kF32, Arena* arena = nullptr);
void pack_panels(const float* weights, PackedWeights& packed, std::int32_t first_panel, std::int32_t last_panel);
/// Panel `panel` from weights that lie the other way round: each tap's [k][columns].
void pack_panel_transposed(std::span<const float* const> taps, PackedWeights& packed, std::int32_t panel);

enum class GemmActivation : std::uint8_t { kNone, kGelu, kSigmoid };

struct GemmRows {
  const float* const* a;  ///< [taps][count]: where each row's k floats of each tap begin
  float* const* c;  ///< [count]: where each row's columns begin
  const float* const* residual = nullptr;  ///< [count], added at the end; may be the rows of c
  std::int32_t count = 0;
  std::int32_t first_column = 0;  ///< the layer's column that c[.][0] and residual[.][0] hold
  const float* operand = nullptr;  ///< a as `round_operand` (operand.h) has left it, where weights want it rounded
};

struct GemmEpilogue {
  GemmActivation activation = GemmActivation::kNone;
  const float* gamma = nullptr;  ///< [columns]: c = residual + gamma * (A B + bias)
};

/// Computes panels [first_panel, last_panel) of C for the given rows; other columns of C stay as they are. Where the
/// weights are bfloat16, A is rounded to it too (but for kHalves); where they are int8, each of its rows is, by a scale
/// of its own: here, unless the rows bring their operand.
void gemm(const PackedWeights& weights, const GemmRows& rows, const GemmEpilogue& epilogue, std::int32_t first_panel,
          std::int32_t last_panel);

/// Number of panels of a layer with that many columns.
inline std::int32_t panel_count(std::int32_t columns) { return (columns + panel_width() - 1) / panel_width(); }

}  // namespace gcvit::kernels
