// SPDX-License-Identifier: Apache-2.0
#include "evaluate/rounding.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "evaluate/batches.h"

namespace gcvit::evaluate {

void RelativeError::add(std::span<const float> found, std::span<const float> expected) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double difference = static_cast<double>(found[i]) - expected[i];
    difference_ += difference * difference;
    size_ += static_cast<double>(expected[i]) * expected[i];
  }
}

double RelativeError::value() const { return size_ == 0.0 ? std::sqrt(difference_) : std::sqrt(difference_ / size_); }

std::vector<RoundedLayer> rounded_layers(const model::GCViT& exact, const model::GCViT& rounded) {
  std::vector<RoundedLayer> layers;
  const auto before = exact.parameters();
  const auto after = rounded.parameters();
  for (std::size_t i = 0; i < before.size(); ++i) {
    const DType dtype = after[i]->tensor.dtype();
    if (dtype == DType::kF32) continue;
    RelativeError error;
    error.add(ops::to_f32({after[i]->tensor, after[i]->scales}).values(), before[i]->tensor.values());
    layers.push_back({before[i]->name, dtype, error.value()});
  }
  return layers;
}

RoundingStudy::RoundingStudy(std::shared_ptr<model::GCViT> exact, std::shared_ptr<const model::GCViT> rounded,
                             int threads, std::uint64_t max_memory)
    : exact_(std::move(exact)),
      rounded_(std::move(rounded)),
      pool_(std::make_shared<ThreadPool>(threads)),
      exact_engine_(exact_, pool_, max_memory),
      rounded_engine_(rounded_, pool_, max_memory) {}

void RoundingStudy::run(const data::ImageSet& images, const Options& options) {
  for_each_batch(
      images, {options.preparation, options.batch}, *pool_,
      [&](std::span<const float> tensors) { compare(tensors, options.kept); }, options.progress);
}

void RoundingStudy::compare(std::span<const float> tensors, std::size_t kept) {
  const auto classes = static_cast<std::size_t>(exact_->config().classes);
  const auto size = static_cast<std::size_t>(exact_engine_.input_size());
  const std::span<const float> expected = exact_engine_.run(tensors);
  const std::span<const float> found = rounded_engine_.run(tensors);
  error_.add(found, expected);
  for (std::size_t image = 0; image * size < tensors.size(); ++image) {
    const auto best = [&](std::span<const float> logits) {
      const std::span<const float> own = logits.subspan(image * classes, classes);
      return std::ranges::max_element(own) - own.begin();
    };
    ++images_;
    if (best(found) == best(expected)) ++agreed_;
    if (kept_logits_.size() == kept * classes) continue;
    const std::span<const float> tensor = tensors.subspan(image * size, size);
    const std::span<const float> logits = expected.subspan(image * classes, classes);
    kept_tensors_.insert(kept_tensors_.end(), tensor.begin(), tensor.end());
    kept_logits_.insert(kept_logits_.end(), logits.begin(), logits.end());
  }
}

double RoundingStudy::error_of_layer(const std::string& weight) {
  constexpr std::size_t kBatch = 8;
  const auto parameters = exact_->parameters();
  const auto found = std::ranges::find(parameters, weight, &ops::Parameter::name);
  ops::Parameter& parameter = **found;
  const ops::Parameter& rounded = *std::as_const(*rounded_).parameters()[static_cast<std::size_t>(parameter.id)];
  const Tensor exact = parameter.tensor;
  const auto set = [&](const Tensor& tensor, const Tensor& scales) {
    parameter.tensor = tensor;
    parameter.scales = scales;
    ++parameter.version;  // the engine packs it anew
  };
  set(rounded.tensor, rounded.scales);
  RelativeError error;
  const auto size = static_cast<std::size_t>(exact_engine_.input_size());
  const auto classes = static_cast<std::size_t>(exact_->config().classes);
  const std::size_t images = kept_logits_.size() / classes;
  for (std::size_t first = 0; first < images; first += kBatch) {
    const std::size_t count = std::min(kBatch, images - first);
    error.add(exact_engine_.run(std::span(kept_tensors_).subspan(first * size, count * size)),
              std::span(kept_logits_).subspan(first * classes, count * classes));
  }
  set(exact, {});
  return error.value();
}

}  // namespace gcvit::evaluate
