// SPDX-License-Identifier: Apache-2.0
// The training run: what is recorded, how gradients come together, and the sums over positions that all parameters'
// gradients are. The order of every sum follows from shapes alone.
#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/rows.h"
#include "kernels/weight_gradient.h"
#include "native/state.h"
#include "base/error.h"

namespace gcvit::native {

using ops::Value;

void NativeBackend::start_training(std::int32_t batch, Training training) {
  std::shared_ptr<PackedParameters::GradientForms> forms = state_->packed_parameters->hold_gradient_forms();
  start(batch);
  state_->gradient_forms = std::move(forms);
  state_->start_tape(true, std::move(training));
}

void NativeBackend::State::start_tape(bool recording, Training training) {
  tape.start(recording, std::move(training));
  values.forget_nodes();
}

void NativeBackend::retain_grad(const Value& value) {
  const std::int32_t node = state_->node(value);
  if (!state_->tape.recording() || node < 0) fail("[native] retain_grad: expected a value of a training run");
  state_->tape.node(node).retains_grad = true;
  state_->tape.node(node).needs_gradient = true;
}

std::span<const float> NativeBackend::gradient_of(const Value& value) const {
  const std::int32_t index = state_->node(value);
  if (index < 0 || !state_->tape.node(index).retains_grad || state_->tape.node(index).gradient.empty()) {
    fail("[native] gradient_of: expected a retained value that the loss depends on, after backward");
  }
  return read(state_->tape.node(index).gradient);
}

void NativeBackend::backward(const Value& value, std::span<const float> gradient, ops::ParameterVector& to) {
  ParameterVector& gradients = own(to);
  const std::int32_t node = state_->node(value);
  if (!state_->tape.recording() || node < 0) fail("[native] backward: expected a value of a training run");
  if (static_cast<std::int64_t>(gradient.size()) != state_->batch * value.shape().size()) {
    fail("[native] backward: expected a gradient of {} images of {} = {} floats, found {}", state_->batch,
         to_string(value.shape()), state_->batch * value.shape().size(), gradient.size());
  }
  // Whatever is thrown below leaves half a backward: then the run is over and nothing of it can be asked for.
  struct EndOfRun {
    State& state;
    bool whole = false;
    ~EndOfRun() {
      state.tape.gradients = nullptr;
      state.tape.end();
      if (!whole) state.start_tape(false, {});
    }
  } end{*state_};
  state_->tape.stop_recording();
  state_->tape.gradients = &gradients;
  const std::vector<bool>& trainable = state_->tape.training().trainable;
  if (trainable.empty()) {
    state_->fill_zero(gradients.all().data(), static_cast<std::int64_t>(gradients.all().size()));
  } else {
    for (std::size_t id = 0; id < trainable.size(); ++id) {
      if (trainable[id]) std::ranges::fill(gradients.of(id), 0.0f);
    }
  }
  const Value start = state_->make_value(*this, value.shape());
  std::copy(gradient.begin(), gradient.end(), state_->values.data(start.id()));
  state_->add_gradient(node, start);
  state_->run_backward(*this, 0);
  end.whole = true;
}

void NativeBackend::State::run_backward(NativeBackend& backend, std::size_t begin) {
  while (tape.entries() > begin) {
    const Tape::Entry entry = tape.pop();
    Tape::Node& output = tape.node(entry.output);
    if (output.gradient.empty()) continue;  // the loss doesn't depend on it
    Value gradient = std::exchange(output.gradient, {});
    if (output.retains_grad) {
      output.gradient = make_value(backend, output.shape);
      copy(data(gradient), batch * output.shape.size(), values.data(output.gradient.id()));
    }
    entry.backward(std::move(gradient));
  }
}

Value NativeBackend::State::record_sublayer(NativeBackend& backend, const Value& x, bool trains,
                                            std::function<Value(const Value& x)> compute) {
  const std::int32_t branch = tape.next_branch();
  if (!tape.training().recompute_sublayers || !(trains || needs_gradient(x))) return compute(x);
  const Value y = [&] {
    const Tape::Recording off(tape, false);
    return compute(x);
  }();
  values.node(y.id()) = tape.add_node(y.shape());
  record(y, [this, &backend, x, branch, compute = std::move(compute)](Value gradient) {
    const std::size_t begin = tape.entries();
    const std::int32_t last_branch = tape.branch();
    std::int32_t again_node = -1;
    {
      const Tape::Recording on(tape, true);
      tape.set_branch(branch);
      const Value again = compute(x);
      again_node = node(again);
    }
    tape.set_branch(last_branch);
    add_gradient(again_node, std::move(gradient));
    run_backward(backend, begin);
  });
  return y;
}

bool NativeBackend::State::needs_gradient(const Value& value) {
  const std::int32_t index = node(value);
  return tape.recording() && index >= 0 && tape.node(index).needs_gradient;
}

bool NativeBackend::State::trains(const ops::Parameter& parameter) const {
  const std::vector<bool>& trainable = tape.training().trainable;
  const auto id = static_cast<std::size_t>(parameter.id);
  return trainable.empty() || (id < trainable.size() && trainable[id]);
}

void NativeBackend::State::add_gradient(std::int32_t index, Value gradient) {
  Tape::Node& node = tape.node(index);
  if (node.gradient.empty()) {
    node.gradient = std::move(gradient);
  } else {
    add_to(values.data(node.gradient.id()), data(gradient), batch * node.shape.size());
  }
}

float* NativeBackend::State::gradient_to_add_to(NativeBackend& backend, std::int32_t index) {
  if (tape.node(index).gradient.empty()) {
    const Value zeros = make_value(backend, tape.node(index).shape);
    fill_zero(values.data(zeros.id()), batch * zeros.shape().size());
    tape.node(index).gradient = zeros;
  }
  return values.data(tape.node(index).gradient.id());
}

namespace {

/// Floats of a task that only moves memory.
constexpr std::int64_t kPiece = 1 << 14;

template <typename Body>
void for_each_piece(ThreadPool& pool, std::int64_t count, const Body& body) {
  pool.parallel_for((count + kPiece - 1) / kPiece,
                    [&](std::int64_t piece, int) { body(piece * kPiece, std::min(kPiece, count - piece * kPiece)); });
}

}  // namespace

void NativeBackend::State::fill_zero(float* y, std::int64_t count) {
  for_each_piece(pool, count, [&](std::int64_t first, std::int64_t n) { std::fill_n(y + first, n, 0.0f); });
}

void NativeBackend::State::copy(const float* x, std::int64_t count, float* y) {
  for_each_piece(pool, count, [&](std::int64_t first, std::int64_t n) { std::copy_n(x + first, n, y + first); });
}

void NativeBackend::State::add_to(float* y, const float* x, std::int64_t count) {
  for_each_piece(pool, count, [&](std::int64_t first, std::int64_t n) { kernels::add_to(y + first, x + first, n); });
}

float* NativeBackend::State::partial_sums(std::int64_t floats) {
  if (partials.size() < floats) partials = kernels::AlignedBuffer(floats);
  return partials.data();
}

void NativeBackend::State::add_partial_sums(const float* sums, std::int64_t count, std::int64_t channels, float* y) {
  // Channel by channel the order is that of the partials, so the channels may be cut anywhere.
  constexpr std::int64_t kChannels = 1024;
  pool.parallel_for((channels + kChannels - 1) / kChannels, [&](std::int64_t piece, int) {
    const std::int64_t first = piece * kChannels;
    const std::int64_t n = std::min(kChannels, channels - first);
    for (std::int64_t i = 0; i < count; ++i) kernels::add_to(y + first, sums + i * channels + first, n);
  });
}

void NativeBackend::State::add_row_sums(const float* x, std::int64_t count, std::int64_t channels, float* y) {
  sum_over_rows(count, channels, 0, y, [&](std::int64_t first, std::int64_t n, float* partial, Scratch&) {
    kernels::sum_positions(x + first * channels, n, static_cast<std::int32_t>(channels), 1.0f, partial);
  });
}

void NativeBackend::State::add_weight_gradient(std::span<const float* const> a, std::span<const float* const> b,
                                               std::int32_t rows, std::int32_t columns, float* c,
                                               std::int64_t c_stride) {
  // Pieces of C, each summed over all n by one task. As few as occupy the threads evenly, since each packs its part of B
  // anew and reads its part of A.
  constexpr std::int32_t kColumns = 256;
  constexpr std::int32_t kFewestRows = 12;
  const std::int32_t width = kernels::panel_width();
  const std::int64_t panels = (columns + width - 1) / width;
  std::int64_t column_pieces = (columns + kColumns - 1) / kColumns;
  std::int64_t row_pieces = 1;
  while (row_pieces * column_pieces % pool.size() != 0 && rows >= (row_pieces + 1) * kFewestRows) ++row_pieces;
  while (row_pieces * column_pieces < pool.size() && column_pieces < panels) ++column_pieces;
  parallel_for(
      row_pieces * column_pieces, kernels::weight_gradient_scratch_size(), 0, [&](std::int64_t task, Scratch& scratch) {
        const std::int64_t row_piece = task / column_pieces;
        const std::int64_t column_piece = task % column_pieces;
        const std::int64_t first_row = rows * row_piece / row_pieces;
        const std::int64_t last_row = rows * (row_piece + 1) / row_pieces;
        const std::int64_t first = panels * column_piece / column_pieces * width;
        const std::int64_t last = std::min<std::int64_t>(panels * (column_piece + 1) / column_pieces * width, columns);
        kernels::weight_gradient({.a = a.data(),
                                  .b = b.data(),
                                  .count = static_cast<std::int64_t>(a.size()),
                                  .c = c,
                                  .c_stride = c_stride,
                                  .first_row = static_cast<std::int32_t>(first_row),
                                  .rows = static_cast<std::int32_t>(last_row - first_row),
                                  .first_column = static_cast<std::int32_t>(first),
                                  .columns = static_cast<std::int32_t>(last - first),
                                  .scratch = scratch.floats(kernels::weight_gradient_scratch_size()),
                                  .precision = parameters.precision()});
      });
}

void NativeBackend::State::add_table_gradient(const ops::Parameter& table, std::int64_t heads, const float* sums) {
  const std::int64_t size = table.dims[0];
  float* to = gradient_of(table);
  for (std::int64_t i = 0; i < size; ++i) {
    for (std::int64_t head = 0; head < heads; ++head) to[i * heads + head] += sums[head * size + i];
  }
}

void NativeBackend::State::add_query_gradient(NativeBackend& backend, std::int32_t query, const float* parts,
                                              std::int64_t per_image) {
  const Value gradient = make_value(backend, tape.node(query).shape);
  const std::int64_t size = gradient.shape().size();
  float* to = values.data(gradient.id());
  pool.parallel_for(batch, [&](std::int64_t image, int) {
    kernels::sum_positions(parts + image * per_image * size, per_image, static_cast<std::int32_t>(size), 1.0f,
                           to + image * size);
  });
  add_gradient(query, gradient);
}

}  // namespace gcvit::native
