// SPDX-License-Identifier: Apache-2.0
// What the native backend keeps between operations: values, packed weights, each worker's scratch, the tape.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "kernels/aligned_buffer.h"
#include "kernels/attention.h"
#include "kernels/gemm.h"
#include "native/native_backend.h"
#include "native/orthogonaliser.h"
#include "native/packed_parameters.h"
#include "native/parameter_vector.h"
#include "native/scratch.h"
#include "native/tape.h"
#include "native/tiles.h"
#include "native/value_store.h"
#include "ops/backend.h"
#include "base/thread_pool.h"

namespace gcvit::native {

struct NativeBackend::State {
  State(ThreadPool& thread_pool, std::shared_ptr<PackedParameters> packed)
      : pool(thread_pool),
        packed_parameters(std::move(packed)),
        parameters(*packed_parameters),
        scratches(static_cast<std::size_t>(thread_pool.size())) {}

  const ops::Backend* owner = nullptr;  ///< the backend that this is of
  ThreadPool& pool;
  ValueStore values;
  std::shared_ptr<PackedParameters> packed_parameters;  ///< other backends' too where they are a whole model's
  PackedParameters& parameters;
  std::shared_ptr<PackedParameters::GradientForms> gradient_forms;  ///< of a training run
  std::vector<Scratch> scratches;
  std::int32_t batch = 0;
  std::int32_t largest_batch = 0;
  Tape tape;

  ops::Value make_value(NativeBackend& backend, const ops::Shape& shape);
  /// Throws `Error` unless `value` is one of this backend and this run; so do all that take a value.
  void check(const ops::Value& value) const {
    if (value.backend() != owner || !values.is_current(value.id())) refuse(value);
  }
  [[noreturn]] void refuse(const ops::Value& value) const;
  const float* data(const ops::Value& value) {
    check(value);
    return values.data(value.id());
  }

  /// Runs body(index, scratch) for each index on the pool, each worker with its own emptied scratch of that room.
  template <typename Body>
  void parallel_for(std::int64_t count, std::int64_t floats, std::int64_t pointers, const Body& body) {
    for (Scratch& scratch : scratches) scratch.reserve(floats, pointers);
    pool.parallel_for(count, [&](std::int64_t index, int worker) {
      Scratch& scratch = scratches[static_cast<std::size_t>(worker)];
      scratch.reset();
      body(index, scratch);
    });
  }

  // Training; training.cc.

  /// Forgets the last run, whose values then are none of the next, and begins to record the next one or not.
  void start_tape(bool recording, Training training);

  /// Whether something that is trained or whose gradient is retained lies behind `value`.
  bool needs_gradient(const ops::Value& value);
  bool trains(const ops::Parameter& parameter) const;
  bool trains(const std::optional<ops::Parameter>& parameter) const { return parameter && trains(*parameter); }
  bool trains(const ops::LayerNorm& norm) const { return trains(norm.weight) || trains(norm.bias); }
  bool trains(const ops::Linear& linear) const { return trains(linear.weight) || trains(linear.bias); }
  std::int32_t node(const ops::Value& value) {
    check(value);
    return values.node(value.id());
  }
  void record(const ops::Value& y, Tape::Backward backward) { tape.record(node(y), std::move(backward)); }
  /// One sub-layer, `compute`d from `x` as its plain composition. Where sub-layers are computed again in backward it is
  /// recorded as a whole that keeps only x.
  ops::Value record_sublayer(NativeBackend& backend, const ops::Value& x, bool trains,
                             std::function<ops::Value(const ops::Value& x)> compute);
  /// Runs, last first, what was recorded behind the first `begin` entries.
  void run_backward(NativeBackend& backend, std::size_t begin);
  /// Adds to a node's gradient; takes the buffer when it is the first.
  void add_gradient(std::int32_t node, ops::Value gradient);
  /// A node's gradient for adding to; begins as zeros.
  float* gradient_to_add_to(NativeBackend& backend, std::int32_t node);
  /// The gradient of a parameter that is trained.
  float* gradient_of(const ops::Parameter& parameter) { return tape.gradients->of(parameter).data(); }

  void fill_zero(float* y, std::int64_t count);
  void copy(const float* x, std::int64_t count, float* y);
  void add_to(float* y, const float* x, std::int64_t count);
  /// y [channels] += the sum of `count` rows x [channels], in an order that `count` alone decides.
  void add_row_sums(const float* x, std::int64_t count, std::int64_t channels, float* y);
  /// Calls body(first, count, partial, scratch) for chunks of `count` rows, each with zeros [channels] of its own to
  /// add to, and adds their sum, in an order that `count` alone decides, to y [channels].
  template <typename Body>
  void sum_over_rows(std::int64_t count, std::int64_t channels, std::int64_t pointers, float* y, const Body& body) {
    const std::int64_t chunks = (count + kSumRows - 1) / kSumRows;
    float* to = partial_sums(chunks * channels);
    parallel_for(chunks, 0, pointers, [&](std::int64_t chunk, Scratch& scratch) {
      float* partial = to + chunk * channels;
      std::fill_n(partial, channels, 0.0f);
      body(chunk * kSumRows, std::min(kSumRows, count - chunk * kSumRows), partial, scratch);
    });
    add_partial_sums(to, chunks, channels, y);
  }
  static constexpr std::int64_t kSumRows = 256;
  /// Room for partial sums, kept from operation to operation.
  float* partial_sums(std::int64_t floats);
  /// Room for the operands of an operation, kept likewise.
  float* operand_room(std::int64_t floats) {
    if (operands.size() < floats) operands = kernels::AlignedBuffer(floats);
    return operands.data();
  }
  /// y [channels] += the sum over `count` partials [channels], in order.
  void add_partial_sums(const float* partials, std::int64_t count, std::int64_t channels, float* y);
  /// c [rows][c_stride] += the sum over n of a[n]^T b[n]; a[n] has `rows`, b[n] `columns` floats.
  void add_weight_gradient(std::span<const float* const> a, std::span<const float* const> b, std::int32_t rows,
                           std::int32_t columns, float* c, std::int64_t c_stride);

  /// Adds sums [heads][table] to the gradient of a bias table [table][heads].
  void add_table_gradient(const ops::Parameter& table, std::int64_t heads, const float* sums);
  /// Adds what `per_image` windows of each image leave for the gradient of its global query, node `query`: parts
  /// [image][window][h x w x C], in the order of the windows.
  void add_query_gradient(NativeBackend& backend, std::int32_t query, const float* parts, std::int64_t per_image);

  // The optimiser; optimiser.cc.

  /// A matrix' update with momentum and orthogonalisation.
  void update_matrix(const ops::OptimiserStep& step, const ops::Parameter& parameter, const ops::MuonUpdate& update,
                     std::span<float> weight);

  Orthogonaliser orthogonaliser{pool};
  std::vector<float> matrix;  ///< of the running step
  std::vector<std::span<float>> weights;  ///< by parameter, of the running step

  kernels::AlignedBuffer partials, operands;
  std::vector<const float*> gradient_rows, input_rows;  ///< for add_weight_gradient, kept from operation to operation
};

}  // namespace gcvit::native
