// SPDX-License-Identifier: Apache-2.0
// What the native backend keeps between operations: values and their buffers, packed weights, each worker's scratch.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "kernels/aligned_buffer.h"
#include "kernels/attention.h"
#include "kernels/gemm.h"
#include "native/native_backend.h"
#include "native/orthogonaliser.h"
#include "native/parameter_vector.h"
#include "native/tape.h"
#include "ops/backend.h"
#include "base/thread_pool.h"

namespace gcvit::native {

/// The buffers of all values. A freed buffer is kept and handed out again to the next value it is large enough for, so
/// a run that repeats the last one allocates nothing.
class ValueStore {
 public:
  /// A new value with one handle and a buffer of `size` floats, not initialised.
  std::int32_t create(std::int64_t size);
  void retain(std::int32_t id) { ++slots_[static_cast<std::size_t>(id)].handles; }
  void release(std::int32_t id) noexcept;
  /// Gives back every buffer that no value uses.
  void free_unused();
  /// The floats it was created with.
  std::int64_t size(std::int32_t id) const { return slots_[static_cast<std::size_t>(id)].size; }
  float* data(std::int32_t id) { return slots_[static_cast<std::size_t>(id)].buffer.data(); }
  /// The node of a training run that the value is; -1 for none.
  std::int32_t& node(std::int32_t id) { return slots_[static_cast<std::size_t>(id)].node; }
  /// Values made from here on are those of a new run, and no value is a node of a training run any more.
  void start_run() {
    ++run_;
    forget_nodes();
  }
  /// Whether the value was made in this run.
  bool is_current(std::int32_t id) const { return slots_[static_cast<std::size_t>(id)].run == run_; }
  /// No value is a node of a training run any more.
  void forget_nodes() {
    for (Slot& slot : slots_) slot.node = -1;
  }

 private:
  struct Slot {
    kernels::AlignedBuffer buffer;
    std::int64_t size = 0;
    std::uint64_t run = 0;
    std::int32_t handles = 0;
    std::int32_t node = -1;
  };
  std::vector<Slot> slots_;  ///< a slot without handles keeps its buffer for reuse
  std::uint64_t run_ = 0;
};

/// Memory that one worker uses inside one operation.
class Scratch {
 public:
  /// Makes room for that many floats and row pointers; keeps what there is when it is enough.
  void reserve(std::int64_t floats, std::int64_t pointers);
  /// The first piece is handed out anew.
  void reset() { used_floats_ = used_pointers_ = 0; }
  /// What has been handed out since `mark` is free again after `release(mark)`.
  struct Mark {
    std::int64_t floats, pointers;
  };
  Mark mark() const { return {used_floats_, used_pointers_}; }
  void release(Mark mark) {
    used_floats_ = mark.floats;
    used_pointers_ = mark.pointers;
  }
  /// The next `count` floats, on a 64-byte boundary.
  float* floats(std::int64_t count);
  const float** pointers(std::int64_t count);
  float** mutable_pointers(std::int64_t count) { return const_cast<float**>(pointers(count)); }

  /// Floats that `floats(count)` takes.
  static std::int64_t rounded(std::int64_t count) { return (count + 15) / 16 * 16; }

 private:
  kernels::AlignedBuffer floats_;
  std::vector<const float*> pointers_;
  std::int64_t used_floats_ = 0;
  std::int64_t used_pointers_ = 0;
};

/// Parameters in the form the kernels want, packed on first use and again when a parameter's version changes.
class PackedParameters {
 public:
  explicit PackedParameters(ThreadPool& pool) : pool_(pool) {}

  /// Of linear layers and strided convolutions; all are packed anew when it changes.
  void set_precision(kernels::Precision precision);
  kernels::Precision precision() const { return precision_; }

  const kernels::PackedWeights& linear(const ops::Linear& linear);
  /// A 3x3 convolution as three taps (rows of the kernel) of three pixels each.
  const kernels::PackedWeights& convolution(const ops::Conv3x3& convolution);
  /// [9][channels].
  const float* depthwise(const ops::Parameter& weight);
  const kernels::PackedBias& bias_table(const ops::Parameter& table, ops::Window window);

  // What only training asks for: from gradients of outputs to gradients of inputs.
  const kernels::PackedWeights& linear_transposed(const ops::Linear& linear);
  /// For input positions whose row and column are odd or not (see convolution.cc): one tap an output they take part in.
  const kernels::PackedWeights& convolution_transposed(const ops::Conv3x3& convolution, bool odd_row, bool odd_column);
  /// [9][channels], the kernel turned by half a turn.
  const float* depthwise_flipped(const ops::Parameter& weight);

 private:
  struct Entry {
    std::optional<std::uint64_t> version;
    kernels::PackedWeights weights;
    kernels::PackedBias bias;
    kernels::AlignedBuffer unpacked;  ///< another order of the weights, without panels
  };
  /// The entry of a parameter, and whether it must be packed (anew): then whoever packs it sets its version behind that.
  Entry& entry(const ops::Parameter& parameter, bool& stale) { return entry(entries_, parameter, stale); }
  static Entry& entry(std::deque<Entry>& entries, const ops::Parameter& parameter, bool& stale);
  void pack(const float* weights, const std::optional<ops::Parameter>& bias, std::int64_t columns, std::int32_t taps,
            std::int64_t k, kernels::PackedWeights& packed);

  /// [9][out][in].
  const float* convolution_pixels(const ops::Conv3x3& convolution);
  void pack_transposed(std::span<const float* const> taps, kernels::PackedWeights& packed);

  ThreadPool& pool_;
  kernels::Precision precision_ = kernels::Precision::kF32;
  std::vector<float> unpacked_;
  std::deque<Entry> entries_;  ///< by parameter id; references stay valid as it grows
  std::deque<Entry> transposed_;
  std::array<std::deque<Entry>, 4> convolutions_transposed_;  ///< [2 * odd row + odd column]
};

/// The f32 elements of a parameter that must have been loaded.
const float* values_of(const ops::Parameter& parameter);

struct NativeBackend::State {
  explicit State(ThreadPool& thread_pool)
      : pool(thread_pool), parameters(thread_pool), scratches(static_cast<std::size_t>(thread_pool.size())) {}

  const ops::Backend* owner = nullptr;  ///< the backend that this is of
  ThreadPool& pool;
  ValueStore values;
  PackedParameters parameters;
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
  /// One half of a block, `compute`d from `x` as its plain composition. Where halves are computed again in backward it is
  /// recorded as a whole that keeps nothing but x.
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
  /// Calls body(first, count, partial, scratch) for stretches of `count` rows, each with zeros [channels] of its own to
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

  kernels::AlignedBuffer partials;
  std::vector<const float*> gradient_rows, input_rows;  ///< for add_weight_gradient, kept from operation to operation
};

/// Cuts `count` rows into tiles of at most `limit`, their sizes differing by one at most; when they are few, their
/// number is a multiple of the threads. Which tiles there are changes the schedule, never a result.
class RowTiles {
 public:
  RowTiles(std::int64_t count, std::int64_t limit, int threads);
  std::int64_t size() const { return tiles_; }
  std::int64_t first(std::int64_t tile) const { return tile * (count_ / tiles_) + std::min(tile, count_ % tiles_); }
  std::int64_t rows(std::int64_t tile) const { return count_ / tiles_ + (tile < count_ % tiles_ ? 1 : 0); }
  std::int64_t most_rows() const { return (count_ + tiles_ - 1) / tiles_; }

 private:
  std::int64_t count_;
  std::int64_t tiles_;
};

/// Cuts a layer's column panels into chunks where its row tiles alone don't occupy the threads.
class PanelChunks {
 public:
  PanelChunks(std::int32_t panels, std::int64_t row_tiles, int threads);
  std::int64_t size() const { return chunks_; }
  std::int32_t first(std::int32_t chunk) const {
    return static_cast<std::int32_t>(std::int64_t{panels_} * chunk / chunks_);
  }
  std::int32_t last(std::int32_t chunk) const { return first(chunk + 1); }

 private:
  std::int32_t panels_;
  std::int32_t chunks_;
};

/// Rows of a linear layer's tile: while they wait in L2 for the panels to come by, these are used so often that it doesn't
/// matter where they come from. A multiple of the microkernel's rows.
inline std::int64_t linear_tile_rows(std::int64_t k) { return k <= 256 ? 96 : 48; }

/// Rows of a tile: an image of the last level at 224 (49 positions) is one, and what a tile of the widest published
/// tiny models keeps stays within 512 KB of L2.
inline constexpr std::int64_t kTileRows = 50;

}  // namespace gcvit::native
