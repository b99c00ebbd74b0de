// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/tensor.h"
#include "base/thread_pool.h"
#include "kernels/aligned_buffer.h"
#include "kernels/arena.h"
#include "kernels/attention.h"
#include "kernels/gemm.h"
#include "ops/executor.h"

namespace gcvit::native {

/// Parameters as the kernels read them, each packed on first use and again when its version changes: the weights of linear layers
/// and strided convolutions in the precision of their tensor, where that is i8 or bf16, else in the one that was set. Of one
/// thread; after `share` of any number of threads.
class PackedParameters {
 public:
  /// `pool` packs, and must outlive this.
  explicit PackedParameters(ThreadPool& pool) : pool_(pool) {}

  /// Of f32 weights of linear layers and strided convolutions; all are packed anew when it changes. Throws `Error` for another one than
  /// before once shared.
  void set_precision(kernels::Precision precision);
  kernels::Precision precision() const { return precision_; }

  /// Memory in one piece for what packs `floats` floats of parameters: a wish.
  void reserve(std::int64_t floats) { arena_.reserve(floats); }

  /// From here on every form that a forward reads stays as it is, and any thread may read it: one that hasn't been packed is an
  /// `Error`. What only gradients need is still packed on first use, from the forms that are there, and goes when nobody holds it.
  void share();

  const kernels::PackedWeights& linear(const ops::Linear& linear);
  /// A 3x3 convolution as three taps (rows of the kernel) of three pixels each.
  const kernels::PackedWeights& convolution(const ops::Conv3x3& convolution);
  /// [9][channels].
  const float* depthwise(const ops::Parameter& weight);
  const kernels::PackedBias& bias_table(const ops::Parameter& table, ops::Window window);

  // What only gradients need: from gradients of outputs to gradients of inputs.

  struct GradientForms;
  /// Keeps it while the result lives, which every backward needs. Of parameters that aren't shared it stays in any case.
  std::shared_ptr<GradientForms> hold_gradient_forms();
  const kernels::PackedWeights& linear_transposed(const ops::Linear& linear);
  /// For input positions whose row and column are odd or not (see convolution.cc): one tap an output they take part in.
  const kernels::PackedWeights& convolution_transposed(const ops::Conv3x3& convolution, bool odd_row, bool odd_column);
  /// [9][channels], the kernel flipped in both directions.
  const float* depthwise_flipped(const ops::Parameter& weight);

  /// The values of a parameter, f32 in its own layout, out of its packed form (of int8 weights what their integers stand for). Throws `Error` when there is no packed form of it.
  Tensor unpack(const ops::Parameter& parameter) const;
  /// Bytes of all packed forms.
  std::int64_t bytes() const;

 private:
  struct Entry {
    std::optional<std::uint64_t> version;
    kernels::PackedWeights weights;
    kernels::PackedBias bias;
    kernels::AlignedBuffer unpacked;  ///< another order of the weights, without panels
  };
  /// The entry of a parameter, and whether it must be packed (anew): then whoever packs it sets its version behind that.
  Entry& entry(const ops::Parameter& parameter, bool& stale);
  static Entry& entry(std::deque<Entry>& entries, const ops::Parameter& parameter, bool& stale);
  /// A linear layer's weight, or a 3x3 convolution's, with its bias.
  const kernels::PackedWeights& layer(const ops::Parameter& weight, const std::optional<ops::Parameter>& bias);
  void pack(const ops::Parameter& weight, const std::optional<ops::Parameter>& bias, kernels::PackedWeights& packed);

  /// The parameter's values as f32: its own, or once shared what `unpack` makes.
  Tensor source_of(const ops::Parameter& parameter) const;
  /// Under the mutex: those that somebody holds; throws `Error` when nobody does.
  std::shared_ptr<GradientForms> gradient_forms();
  /// [9][out][in].
  const float* convolution_pixels(GradientForms& forms, const ops::Conv3x3& convolution);
  void pack_transposed(std::span<const float* const> taps, kernels::PackedWeights& packed);

  ThreadPool& pool_;
  kernels::Precision precision_ = kernels::Precision::kF32;
  bool shared_ = false;
  std::vector<float> unpacked_;
  kernels::Arena arena_;  ///< of `entries_` but their bias tables, which are allocated anew as they change
  std::deque<Entry> entries_;  ///< by parameter id; references stay valid as it grows
  mutable std::mutex gradients_mutex_;  ///< of the rest
  std::shared_ptr<GradientForms> own_gradient_forms_;  ///< null once shared
  std::weak_ptr<GradientForms> gradient_forms_;
};

/// The kernels' name for it.
kernels::Precision kernel_precision(ops::Precision precision);

/// The f32 elements of a parameter that must have been loaded.
const float* values_of(const ops::Parameter& parameter);

}  // namespace gcvit::native
