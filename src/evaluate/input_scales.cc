// SPDX-License-Identifier: Apache-2.0
#include "evaluate/input_scales.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace gcvit::evaluate {
namespace {

constexpr int kDroppedBits = 16;
constexpr float kMostInt8 = 127.0f;

std::int64_t class_of(std::span<const float> logits) { return std::ranges::max_element(logits) - logits.begin(); }

}  // namespace

void MagnitudeHistogram::add(std::span<const float> values) {
  for (const float value : values) {
    const float magnitude = std::abs(value);
    if (!std::isfinite(magnitude)) throw Error("[calibration] a layer's input is not finite");
    ++counts_[std::bit_cast<std::uint32_t>(magnitude) >> kDroppedBits];
    largest_ = std::max(largest_, magnitude);
  }
  total_ += std::ssize(values);
}

float MagnitudeHistogram::bound(double share) const {
  const auto needed = static_cast<std::int64_t>(std::ceil(share * static_cast<double>(total_)));
  std::int64_t below = 0;
  for (std::size_t i = 0; i < counts_.size() && share < 1.0; ++i) {
    below += counts_[i];
    if (below >= needed) {
      return std::min(largest_, std::bit_cast<float>(static_cast<std::uint32_t>(i + 1) << kDroppedBits));
    }
  }
  return largest_;
}

void round_to_scale(std::span<float> values, float scale) {
  for (float& value : values) value = std::clamp(std::nearbyint(value / scale), -128.0f, kMostInt8) * scale;
}

InputScaleStudy::InputScaleStudy(std::shared_ptr<const model::GCViT> model, std::set<std::string> weights, int threads,
                                 std::uint64_t max_memory)
    : model_(std::move(model)),
      weights_(std::move(weights)),
      pool_(std::make_shared<ThreadPool>(threads)),
      engine_(model_, pool_, max_memory) {}

void InputScaleStudy::run(const data::ImageSet& images, const BatchOptions& options,
                          const std::function<void(std::string_view error)>& progress) {
  // Beside a run's own maps: the sub-layers' inner ones and the copies of layers' inputs.
  const model::GCViTConfig& config = model_->config();
  const double map = static_cast<double>(config.image_height / 4) * (config.image_width / 4) * config.dim;
  engine_.check_memory(static_cast<std::size_t>(options.batch), options.batch * map * 4.0 * (3.0 + config.mlp_ratio));
  for_each_batch(images, options, *pool_, [&](std::span<const float> tensors) { measure(tensors); }, progress);
  for (const double share : kShares) {
    Outcome& outcome = outcomes_.emplace_back();
    outcome.share = share;
    for (const auto& [weight, magnitudes] : magnitudes_) {
      const float bound = magnitudes.bound(share);
      outcome.scales[weight] = bound == 0.0f ? 1.0f : bound / kMostInt8;
    }
  }
  for_each_batch(
      images, options, *pool_, [&](std::span<const float> tensors) { compare(tensors); }, [](std::string_view) {});
  std::ranges::stable_sort(outcomes_, {}, [](const Outcome& outcome) { return outcome.error.value(); });
}

void InputScaleStudy::measure(std::span<const float> tensors) {
  engine_.set_input_hook([&](const ops::Parameter& weight, std::span<float> values) {
    if (weights_.contains(weight.name)) magnitudes_[weight.name].add(values);
  });
  engine_.run(tensors);
  engine_.set_input_hook({});
  images_ += std::ssize(tensors) / engine_.input_size();
}

void InputScaleStudy::compare(std::span<const float> tensors) {
  const std::span<const float> logits = engine_.run(tensors);
  const std::vector<float> expected(logits.begin(), logits.end());
  const auto classes = static_cast<std::size_t>(model_->config().classes);
  for (Outcome& outcome : outcomes_) {
    engine_.set_input_hook([&](const ops::Parameter& weight, std::span<float> values) {
      const auto scale = outcome.scales.find(weight.name);
      if (scale != outcome.scales.end()) round_to_scale(values, scale->second);
    });
    const std::span<const float> found = engine_.run(tensors);
    engine_.set_input_hook({});
    outcome.error.add(found, expected);
    for (std::size_t i = 0; i < expected.size(); i += classes) {
      if (class_of(found.subspan(i, classes)) == class_of(std::span(expected).subspan(i, classes))) ++outcome.agreed;
    }
  }
}

}  // namespace gcvit::evaluate
