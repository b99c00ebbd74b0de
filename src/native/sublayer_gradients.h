// SPDX-License-Identifier: Apache-2.0
// What the backward of both sub-layers is made of: how rows are grouped, where a group of tiles adds up the gradients of
// the sub-layer's parameters, and a tile's own rows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "kernels/rows.h"
#include "kernels/weight_gradient.h"
#include "native/branch.h"
#include "native/state.h"
#include "ops/parameter.h"

namespace gcvit::native {

/// Cuts `count` rows, or windows of `rows` each, into the groups whose sums are added up one by one and then in the order
/// of the groups: few where rows are many, as each costs a pass over all its sums, but enough for threads to share. By
/// the count alone.
class RowGroups {
 public:
  RowGroups(std::int64_t count, std::int64_t rows)
      : count_(count),
        groups_(std::max((count * rows + 383) / 384, std::min<std::int64_t>({16, (count * rows + 95) / 96, count}))) {}
  std::int64_t size() const { return groups_; }
  std::int64_t first(std::int64_t group) const { return count_ * group / groups_; }

 private:
  std::int64_t count_;
  std::int64_t groups_;
};

/// Where the gradients of a sub-layer's parameters lie in one run of floats: what a group of tiles adds to by itself.
class GradientLayout {
 public:
  /// The next `floats`: returns where they begin.
  std::int64_t add(std::int64_t floats) { return std::exchange(size_, size_ + floats); }
  std::int64_t size() const { return size_; }

 private:
  std::int64_t size_ = 0;
};

/// The gradients of a linear layer in a GradientLayout, which has room for them only where they are wanted.
struct LinearGradient {
  LinearGradient(GradientLayout& layout, const ops::Linear& linear, kernels::Precision operands, bool is_wanted)
      : precision(operands),
        out(static_cast<std::int32_t>(linear.weight.dims[0])),
        in(static_cast<std::int32_t>(linear.weight.dims[1])),
        wanted(is_wanted),
        weight(layout.add(wanted ? std::int64_t{out} * in : 0)),
        bias(layout.add(wanted ? out : 0)) {}

  /// Adds what `count` rows give: dy their gradients, x the layer's inputs.
  void add(const float* const* dy, const float* const* x, std::int32_t count, float* sums, float* scratch) const {
    if (!wanted) return;
    kernels::weight_gradient({.a = dy,
                              .b = x,
                              .count = count,
                              .c = sums + weight,
                              .c_stride = in,
                              .first_row = 0,
                              .rows = out,
                              .first_column = 0,
                              .columns = in,
                              .scratch = scratch,
                              .precision = precision});
    for (std::int32_t r = 0; r < count; ++r) kernels::add_to(sums + bias, dy[r], out);
  }

  /// Adds the sums to the gradients of the parameters that are trained.
  void finish(NativeBackend::State& state, const ops::Linear& linear, const float* sums) const {
    if (state.trains(linear.weight)) {
      state.add_to(state.gradient_of(linear.weight), sums + weight, std::int64_t{out} * in);
    }
    if (state.trains(linear.bias)) kernels::add_to(state.gradient_of(*linear.bias), sums + bias, out);
  }

  kernels::Precision precision;
  std::int32_t out, in;
  bool wanted;
  std::int64_t weight, bias;
};

/// The gradients of a layer normalisation in a GradientLayout, likewise.
struct NormGradient {
  NormGradient(GradientLayout& layout, std::int32_t norm_channels, bool is_wanted)
      : channels(norm_channels),
        wanted(is_wanted),
        weight(layout.add(wanted ? channels : 0)),
        bias(layout.add(wanted ? channels : 0)) {}
  /// Where they are added up; null where they aren't wanted.
  float* weights(float* sums) const { return wanted ? sums + weight : nullptr; }
  float* biases(float* sums) const { return wanted ? sums + bias : nullptr; }
  void finish(NativeBackend::State& state, const ops::LayerNorm& norm, const float* sums) const {
    if (state.trains(norm.weight)) kernels::add_to(state.gradient_of(norm.weight), sums + weight, channels);
    if (state.trains(norm.bias)) kernels::add_to(state.gradient_of(norm.bias), sums + bias, channels);
  }
  std::int32_t channels;
  bool wanted;
  std::int64_t weight, bias;
};

/// Whether a backward needs the sums of a branch's last layer: gamma's gradient is made of them.
inline bool needs_sums(const NativeBackend::State& state, const ops::Linear& linear, const ops::Parameter* gamma) {
  return state.trains(linear) || (gamma != nullptr && state.trains(*gamma));
}

/// Rows of a tile's own: `count` rows of `width` floats, one after the other.
struct TileRows {
  TileRows(Scratch& scratch, std::int32_t count, std::int64_t width)
      : floats(scratch.floats(count * width)), rows(scratch.mutable_pointers(count)) {
    for (std::int32_t r = 0; r < count; ++r) rows[r] = floats + r * width;
  }
  /// Floats of scratch that they take.
  static std::int64_t size(std::int64_t count, std::int64_t width) { return Scratch::rounded(count * width); }
  const float* const* read() const { return rows; }

  float* floats;
  float** rows;
};

/// c = a times the packed matrix, for `count` rows.
inline void multiply(const kernels::PackedWeights& weights, const float* const* a, float* const* c,
                     std::int32_t count) {
  kernels::gemm(weights, {.a = a, .c = c, .count = count}, {}, 0, kernels::panel_count(weights.columns));
}

/// dy times the branch's factors, where there are some.
inline const float* const* scaled_rows(const Branch& branch, const float* const* dy, const TileRows& to,
                                       std::int32_t count, std::int32_t channels) {
  if (branch.factors() == nullptr) return dy;
  for (std::int32_t r = 0; r < count; ++r) kernels::scale_positions(dy[r], 1, channels, branch.factors(), to.rows[r]);
  return to.read();
}

}  // namespace gcvit::native
