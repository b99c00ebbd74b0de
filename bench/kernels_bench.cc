// SPDX-License-Identifier: Apache-2.0
// The kernels by themselves, on one thread, with the shapes that xxtiny and tiny give them at 224.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "bench/meter.h"
#include "kernels/attention.h"
#include "kernels/gemm.h"
#include "kernels/gemm_i8.h"
#include "kernels/optimiser.h"
#include "kernels/rows.h"
#include "ops/parameter.h"
#include "weights/quantise.h"

namespace gcvit::bench {
namespace {

/// The addresses of `count` rows that lie `stride` floats apart.
template <typename Float>
std::vector<Float*> rows_of(Float* first, std::int64_t count, std::int64_t stride) {
  std::vector<Float*> rows;
  for (std::int64_t row = 0; row < count; ++row) rows.push_back(first + row * stride);
  return rows;
}

ThreadPool& one_thread() {
  static ThreadPool pool(1);
  return pool;
}

enum class End { kPlain, kGelu, kResidual };

enum class Weights { kF32, kI8 };

kernels::PackedWeights packed(Weights form, const std::vector<float>& b, const std::vector<float>& bias,
                              std::int32_t taps, std::int32_t k) {
  const auto columns = static_cast<std::int32_t>(bias.size());
  if (form == Weights::kF32) return kernels::pack_weights(b.data(), bias.data(), columns, taps, k);
  const ops::TypedValues rounded = weights::quantised(Tensor::from_values({columns, std::int64_t{taps} * k}, b));
  return kernels::pack_i8_weights(reinterpret_cast<const std::int8_t*>(rounded.values.bytes().data()),
                                  rounded.scales.values().data(), bias.data(), columns, taps, k);
}

/// rows x (taps * k) times columns, and the layer's end.
void gemm(benchmark::State& state, End end, Weights form) {
  const std::int64_t count = state.range(0);
  const std::int64_t taps = state.range(1);
  const std::int64_t k = state.range(2);
  const std::int64_t columns = state.range(3);
  const std::vector<float> a = random_values(taps * count * k, 1);
  const std::vector<float> b = random_values(columns * taps * k, 2);
  const std::vector<float> bias = random_values(columns, 3);
  const std::vector<float> residual = random_values(count * columns, 4);
  std::vector<float> c(static_cast<std::size_t>(count * columns));
  const kernels::PackedWeights weights =
      packed(form, b, bias, static_cast<std::int32_t>(taps), static_cast<std::int32_t>(k));
  const std::vector<const float*> a_rows = rows_of(a.data(), taps * count, k);
  const std::vector<float*> c_rows = rows_of(c.data(), count, columns);
  const std::vector<const float*> residual_rows = rows_of(residual.data(), count, columns);
  const kernels::GemmRows rows{.a = a_rows.data(),
                               .c = c_rows.data(),
                               .residual = end == End::kResidual ? residual_rows.data() : nullptr,
                               .count = static_cast<std::int32_t>(count)};
  const kernels::GemmEpilogue epilogue{.activation = end == End::kGelu ? kernels::GemmActivation::kGelu
                                                                       : kernels::GemmActivation::kNone};
  Meter(one_thread()).run(state, 2.0 * static_cast<double>(count * taps * k * columns), [&] {
    kernels::gemm(weights, rows, epilogue, 0, kernels::panel_count(weights.columns));
  });
}

constexpr std::int64_t kWindow[] = {49, 49, 196, 49};  ///< tokens of a window
constexpr std::int64_t kTile = 50;                     ///< rows of a tile of the MLP's tile loop

const std::vector<std::string> kGemmArguments = {"rows", "taps", "k", "columns"};

void plain_shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames(kGemmArguments);
  benchmark->Args({112, 3, 9, 64});  // the stem: a row of the map, a tap is three pixels
  for (int level = 0; level < 4; ++level) {
    const std::int64_t channels = std::int64_t{64} << level;
    benchmark->Args({kWindow[level], 1, channels, 3 * channels});                             // qkv
    if (level < 3) benchmark->Args({level == 0 ? 28 : 42, 3, 3 * channels, 2 * channels});  // to the next level
  }
  benchmark->Args({1, 1, 512, 1000});  // head
}

void fc1_shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames(kGemmArguments);
  for (int level = 0; level < 4; ++level) {
    const std::int64_t channels = std::int64_t{64} << level;
    benchmark->Args({level == 3 ? 49 : kTile, 1, channels, 3 * channels});
  }
}

void residual_shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames(kGemmArguments);
  for (int level = 0; level < 4; ++level) {
    const std::int64_t channels = std::int64_t{64} << level;
    benchmark->Args({kWindow[level], 1, channels, channels});                        // proj
    benchmark->Args({level == 3 ? 49 : kTile, 1, 3 * channels, channels});  // fc2
  }
}

BENCHMARK_CAPTURE(gemm, plain, End::kPlain, Weights::kF32)->Apply(plain_shapes);
BENCHMARK_CAPTURE(gemm, gelu, End::kGelu, Weights::kF32)->Apply(fc1_shapes);
BENCHMARK_CAPTURE(gemm, residual, End::kResidual, Weights::kF32)->Apply(residual_shapes);
BENCHMARK_CAPTURE(gemm, plain_i8, End::kPlain, Weights::kI8)->Apply(plain_shapes);
BENCHMARK_CAPTURE(gemm, gelu_i8, End::kGelu, Weights::kI8)->Apply(fc1_shapes);
BENCHMARK_CAPTURE(gemm, residual_i8, End::kResidual, Weights::kI8)->Apply(residual_shapes);

/// One head of one window; q, k and v lie side by side as a window's qkv leaves them.
void attention(benchmark::State& state) {
  const auto side = static_cast<std::int32_t>(state.range(0));
  const auto head_dim = static_cast<std::int32_t>(state.range(1));
  const std::int32_t tokens = side * side;
  const std::vector<float> qkv = random_values(std::int64_t{3} * tokens * head_dim, 1);
  const std::vector<float> table = random_values(std::int64_t{2 * side - 1} * (2 * side - 1), 2);
  std::vector<float> out(static_cast<std::size_t>(tokens * head_dim));
  const kernels::PackedBias bias = kernels::pack_bias(table.data(), side, side, 1);
  kernels::AlignedBuffer scratch(kernels::attention_scratch_size(tokens, head_dim));
  const std::vector<const float*> q = rows_of(qkv.data(), tokens, 3 * head_dim);
  const std::vector<const float*> k = rows_of(qkv.data() + head_dim, tokens, 3 * head_dim);
  const std::vector<const float*> v = rows_of(qkv.data() + 2 * head_dim, tokens, 3 * head_dim);
  const std::vector<float*> out_rows = rows_of(out.data(), tokens, head_dim);
  const kernels::AttentionHead head{.q = q.data(),
                                    .k = k.data(),
                                    .v = v.data(),
                                    .out = out_rows.data(),
                                    .bias = &bias,
                                    .head = 0,
                                    .head_dim = head_dim,
                                    .scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
                                    .scratch = scratch.data()};
  Meter(one_thread()).run(state, 4.0 * tokens * tokens * head_dim, [&] { kernels::attention(head); });
}
BENCHMARK(attention)->ArgNames({"window", "head_dim"})->Args({7, 32})->Args({14, 32});

/// Its gradients: five products, of which the first computes the scores again.
void attention_backward(benchmark::State& state) {
  const auto side = static_cast<std::int32_t>(state.range(0));
  const auto head_dim = static_cast<std::int32_t>(state.range(1));
  const std::int32_t tokens = side * side;
  const std::int64_t offsets = std::int64_t{2 * side - 1} * (2 * side - 1);
  const std::vector<float> qkv = random_values(std::int64_t{3} * tokens * head_dim, 1);
  const std::vector<float> out_gradient = random_values(std::int64_t{tokens} * head_dim, 2);
  const std::vector<float> table = random_values(offsets, 3);
  std::vector<float> gradients(qkv.size());
  std::vector<float> bias_gradient(table.size());
  const kernels::PackedBias bias = kernels::pack_bias(table.data(), side, side, 1);
  kernels::AlignedBuffer scratch(kernels::attention_backward_scratch_size(tokens, head_dim));
  const std::vector<const float*> q = rows_of(qkv.data(), tokens, 3 * head_dim);
  const std::vector<const float*> k = rows_of(qkv.data() + head_dim, tokens, 3 * head_dim);
  const std::vector<const float*> v = rows_of(qkv.data() + 2 * head_dim, tokens, 3 * head_dim);
  const std::vector<const float*> out_gradient_rows = rows_of(out_gradient.data(), tokens, head_dim);
  const std::vector<float*> dq = rows_of(gradients.data(), tokens, 3 * head_dim);
  const std::vector<float*> dk = rows_of(gradients.data() + head_dim, tokens, 3 * head_dim);
  const std::vector<float*> dv = rows_of(gradients.data() + 2 * head_dim, tokens, 3 * head_dim);
  const kernels::AttentionHeadBackward head{.q = q.data(),
                                            .k = k.data(),
                                            .v = v.data(),
                                            .out_gradient = out_gradient_rows.data(),
                                            .q_gradient = dq.data(),
                                            .k_gradient = dk.data(),
                                            .v_gradient = dv.data(),
                                            .bias = &bias,
                                            .bias_gradient = bias_gradient.data(),
                                            .head = 0,
                                            .head_dim = head_dim,
                                            .scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
                                            .scratch = scratch.data()};
  Meter(one_thread()).run(state, 10.0 * tokens * tokens * head_dim, [&] { kernels::attention_backward(head); });
}
BENCHMARK(attention_backward)->ArgNames({"window", "head_dim"})->Args({7, 32})->Args({14, 32});

/// A tile of rows; eight operations an element.
void layer_norm(benchmark::State& state) {
  const std::int64_t channels = state.range(0);
  const std::vector<float> x = random_values(kTile * channels, 1);
  const std::vector<float> weight = random_values(channels, 2);
  const std::vector<float> bias = random_values(channels, 3);
  std::vector<float> y(x.size());
  const std::vector<const float*> x_rows = rows_of(x.data(), kTile, channels);
  const std::vector<float*> y_rows = rows_of(y.data(), kTile, channels);
  Meter(one_thread()).run(state, 8.0 * static_cast<double>(x.size()), [&] {
    kernels::layer_norm(x_rows.data(), static_cast<std::int32_t>(kTile), static_cast<std::int32_t>(channels),
                        weight.data(), bias.data(), ops::kLayerNormEpsilon, y_rows.data());
  });
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(x.size()));
}
BENCHMARK(layer_norm)->ArgName("channels")->RangeMultiplier(2)->Range(64, 512);

/// One row of a map. GELU's own operations aren't counted.
void depthwise3x3(benchmark::State& state, bool gelu) {
  const std::int64_t width = state.range(0);
  const std::int64_t channels = state.range(1);
  const std::int64_t row = width * channels;
  const std::vector<float> x = random_values(3 * row, 1);
  const std::vector<float> weights = random_values(9 * channels, 2);
  std::vector<float> y(static_cast<std::size_t>(row));
  const kernels::RowTriple rows{x.data(), x.data() + row, x.data() + 2 * row};
  Meter(one_thread()).run(state, 18.0 * static_cast<double>(row), [&] {
    kernels::depthwise3x3_row(rows, static_cast<std::int32_t>(width), static_cast<std::int32_t>(channels),
                              weights.data(), gelu, y.data());
  });
  state.SetItemsProcessed(state.iterations() * row);
}

void map_shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"width", "channels"})->Args({112, 64})->Args({56, 64})->Args({28, 128})->Args({14, 256});
}
BENCHMARK_CAPTURE(depthwise3x3, plain, false)->Apply(map_shapes);
BENCHMARK_CAPTURE(depthwise3x3, gelu, true)->Apply(map_shapes);

/// Backwards and optimiser steps by the bytes that they read and write, as if every array came from memory once.
template <typename Body>
void measure_bytes(benchmark::State& state, std::int64_t floats, const Body& body) {
  for ([[maybe_unused]] auto iteration : state) {
    body();
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * floats * static_cast<std::int64_t>(sizeof(float)));
}

void layer_norm_backward(benchmark::State& state) {
  const std::int64_t channels = state.range(0);
  const std::vector<float> x = random_values(kTile * channels, 1);
  const std::vector<float> dy = random_values(kTile * channels, 2);
  const std::vector<float> weight = random_values(channels, 3);
  std::vector<float> dx(x.size());
  std::vector<float> dparameters(static_cast<std::size_t>(2 * channels));
  const std::vector<const float*> x_rows = rows_of(x.data(), kTile, channels);
  const std::vector<const float*> dy_rows = rows_of(dy.data(), kTile, channels);
  const std::vector<float*> dx_rows = rows_of(dx.data(), kTile, channels);
  measure_bytes(state, 4 * kTile * channels, [&] {
    kernels::layer_norm_backward(x_rows.data(), dy_rows.data(), static_cast<std::int32_t>(kTile),
                                 static_cast<std::int32_t>(channels), weight.data(), ops::kLayerNormEpsilon,
                                 dx_rows.data(), dparameters.data(), dparameters.data() + channels);
  });
}
BENCHMARK(layer_norm_backward)->ArgName("channels")->RangeMultiplier(2)->Range(64, 512);

void gelu_backward(benchmark::State& state) {
  const std::int64_t count = state.range(0);
  const std::vector<float> x = random_values(count, 1);
  const std::vector<float> dy = random_values(count, 2);
  std::vector<float> dx(x.size());
  measure_bytes(state, 3 * count, [&] { kernels::gelu_backward(x.data(), dy.data(), count, dx.data()); });
}
BENCHMARK(gelu_backward)->ArgName("count")->Arg(kTile * 192);

void depthwise3x3_weight_gradient(benchmark::State& state) {
  const std::int64_t width = state.range(0);
  const std::int64_t channels = state.range(1);
  const std::int64_t row = width * channels;
  const std::vector<float> x = random_values(3 * row, 1);
  const std::vector<float> dy = random_values(row, 2);
  std::vector<float> dweights(static_cast<std::size_t>(9 * channels));
  const kernels::RowTriple rows{x.data(), x.data() + row, x.data() + 2 * row};
  measure_bytes(state, 4 * row, [&] {
    kernels::depthwise3x3_weight_gradient_row(rows, static_cast<std::int32_t>(width),
                                              static_cast<std::int32_t>(channels), dy.data(), dweights.data());
  });
}
BENCHMARK(depthwise3x3_weight_gradient)->Apply(map_shapes);

void max_pool3x3_backward(benchmark::State& state) {
  const std::int64_t width = state.range(0);
  const std::int64_t channels = state.range(1);
  const std::int64_t row = width * channels;
  const std::vector<float> x = random_values(3 * row, 1);
  const std::vector<float> dy = random_values(row / 2, 2);
  std::vector<float> dx(x.size());
  const kernels::RowTriple rows{x.data(), x.data() + row, x.data() + 2 * row};
  measure_bytes(state, 19 * row / 2, [&] {
    kernels::max_pool3x3_backward_row(rows, static_cast<std::int32_t>(width), static_cast<std::int32_t>(channels), 0.0f,
                                      dy.data(), dx.data(), dx.data() + row, dx.data() + 2 * row);
  });
}
BENCHMARK(max_pool3x3_backward)->Apply(map_shapes);

void scale_positions_backward(benchmark::State& state) {
  const std::int64_t count = state.range(0) * state.range(0);
  const std::int64_t channels = state.range(1);
  const std::vector<float> x = random_values(count * channels, 1);
  const std::vector<float> dy = random_values(count * channels, 2);
  const std::vector<float> scale = random_values(channels, 3);
  std::vector<float> dx(x.size());
  std::vector<float> dscale(scale.size());
  measure_bytes(state, 3 * count * channels, [&] {
    kernels::scale_positions_backward(x.data(), scale.data(), dy.data(), count, static_cast<std::int32_t>(channels),
                                      dx.data(), dscale.data());
  });
}
BENCHMARK(scale_positions_backward)->Apply(map_shapes);

/// All of xxtiny's weights, from memory.
constexpr std::int64_t kWeights = 12'000'000;

void adam_step(benchmark::State& state) {
  const bool averaged = state.range(0) != 0;
  const std::vector<float> gradient = random_values(kWeights, 1);
  std::vector<float> weight = random_values(kWeights, 2);
  std::vector<float> m(weight.size());
  std::vector<float> v(weight.size());
  std::vector<float> ema(weight.size());
  const kernels::AdamStep step{.step_size = 1e-3, .decay = 1e-5, .ema_decay = 0.999};
  measure_bytes(state, (averaged ? 9 : 7) * kWeights, [&] {
    kernels::adam_step(step, kWeights, gradient.data(), weight.data(), m.data(), v.data(),
                       averaged ? ema.data() : nullptr);
  });
}
BENCHMARK(adam_step)->ArgName("ema")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

void squared_norm(benchmark::State& state) {
  const std::vector<float> gradient = random_values(kWeights, 1);
  double sum = 0.0;
  measure_bytes(state, kWeights, [&] { sum += kernels::squared_norm(gradient.data(), kWeights); });
  benchmark::DoNotOptimize(sum);
}
BENCHMARK(squared_norm)->Unit(benchmark::kMillisecond);

void add_to(benchmark::State& state) {
  const std::vector<float> x = random_values(kWeights, 1);
  std::vector<float> y(x.size());
  measure_bytes(state, 3 * kWeights, [&] { kernels::add_to(y.data(), x.data(), kWeights); });
}
BENCHMARK(add_to)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace gcvit::bench
