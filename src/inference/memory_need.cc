// SPDX-License-Identifier: Apache-2.0
#include "inference/memory_need.h"

#include <algorithm>
#include <cmath>

#include "kernels/attention.h"
#include "native/sublayer_backward.h"
#include "summary/summary_backend.h"

namespace gcvit::inference {
namespace {

constexpr double kFloat = sizeof(float);
/// The program itself, its threads, a model's names.
constexpr double kBase = 48 << 20;
/// Buffers are rounded up, panels filled up, partial sums kept.
constexpr double kMargin = 1.1;
constexpr double kTileRows = 64;

}  // namespace

MemoryNeed::MemoryNeed(const model::GCViT& model) {
  const model::GCViTConfig& config = model.config();
  summary::SummaryBackend summary;
  // The last value is held until its buffers are counted.
  const ops::Value logits = model.forward(summary, summary.input({config.image_height, config.image_width, 3}));
  parameters_ = static_cast<double>(model.parameter_count());
  largest_ = 0.0;
  for (const ops::Parameter* const parameter : model.parameters()) {
    largest_ = std::max(largest_, static_cast<double>(element_count(parameter->dims)));
  }
  image_ = 3.0 * config.image_height * config.image_width;
  buffers_ = static_cast<double>(summary.buffer_floats());
  double inside = 0.0;
  inner_values_ = 0.0;
  for (const summary::SummaryBackend::Sublayer& sublayer : summary.sublayers()) {
    inside += static_cast<double>(sublayer.inner_floats);
    if (!native::backward_is_tile_loop(sublayer.map)) inner_values_ += static_cast<double>(sublayer.inner_floats);
  }
  outer_values_ = static_cast<double>(summary.value_floats()) - inside;
  scratch_ = backward_scratch_ = 0.0;
  for (int level = 0; level < model::kLevels; ++level) {
    const auto l = static_cast<std::size_t>(level);
    const std::int32_t tokens = config.windows[l].tokens();
    const std::int32_t head_dim = config.channels(level) / config.heads[l];
    const double channels = config.channels(level);
    const double attention = static_cast<double>(kernels::attention_scratch_size(tokens, head_dim));
    const double backward = static_cast<double>(kernels::attention_backward_scratch_size(tokens, head_dim));
    const double mlp = kTileRows * (channels + config.hidden_channels(level));
    scratch_ = std::max({scratch_, 6.0 * tokens * channels + attention, mlp});
    backward_scratch_ = std::max({backward_scratch_, 12.0 * tokens * channels + backward, 3.0 * mlp});
  }
}

double MemoryNeed::of_run(double batch, int threads, bool keeps_parameters) const {
  const double packing = 2.0 * largest_;  // as it comes from the file, and in the order of packing
  const double run = batch * (buffers_ + image_) + threads * scratch_;
  const double floats = (keeps_parameters ? 2.0 : 1.0) * parameters_ + std::max(packing, run);
  return kBase + kMargin * kFloat * floats;
}

double MemoryNeed::of_explanation(int threads) const {
  const double maps = outer_values_ + inner_values_ + 2.0 * buffers_ + image_;
  return kBase + kMargin * kFloat * (2.0 * parameters_ + maps + threads * backward_scratch_);
}

double MemoryNeed::of_training(double batch, double slice, bool recompute_sublayers, int threads) const {
  // The start's weights, those trained, their average, two moments, both packed forms, partial sums, and slices'
  // gradients as they wait for each other.
  const double slices = std::max(1.0, std::ceil(batch / slice));
  const double vectors = 9.0 + std::ceil(std::log2(slices)) + 2.0;
  // Maps kept for the backward, and the gradients on the way back.
  const double maps = outer_values_ + (recompute_sublayers ? 0.0 : inner_values_) + 2.0 * buffers_;
  // Two batches wait while one is taken.
  const double images = 3.0 * batch * image_;
  const double floats = vectors * parameters_ + std::min(batch, slice) * maps + images + threads * backward_scratch_;
  return kBase + kMargin * kFloat * floats;
}

}  // namespace gcvit::inference
