// SPDX-License-Identifier: Apache-2.0
#include "inference/engine.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/memory.h"
#include "inference/executors.h"
#include "inference/model_state.h"
#include "ops/layer_inputs.h"

namespace gcvit::inference {

Engine::Engine(std::shared_ptr<const model::GCViT> model, std::shared_ptr<ThreadPool> pool, std::uint64_t max_memory)
    : model_(std::move(model)), pool_(std::move(pool)), max_memory_(max_memory), executor_(make_executor(*pool_)) {}

Engine::Engine(const Model& model, std::shared_ptr<ThreadPool> pool)
    : opened_(model),
      model_(model.state().model),
      pool_(std::move(pool)),
      max_memory_(model.state().options.max_memory),
      executor_(make_executor(model, *pool_)) {}

namespace {

void check(const MemoryNeed& need, const model::GCViTConfig& config, std::size_t images, int threads,
           bool keeps_parameters, double beside, std::uint64_t max_memory) {
  const double needed = need.of_run(static_cast<double>(images), threads, keeps_parameters) + sizeof(float) * beside;
  gcvit::check_memory(needed, max_memory,
                      fmt::format("{} image{} of {}x{} at a time", images, images == 1 ? "" : "s", config.image_height,
                                  config.image_width));
}

}  // namespace

void Engine::check_memory(const model::GCViT& model, std::size_t images, int threads, bool keeps_parameters,
                          std::uint64_t max_memory) {
  check(MemoryNeed(model), model.config(), images, threads == 0 ? available_processors() : threads, keeps_parameters,
        0.0, max_memory);
}

void Engine::check_memory(std::size_t images, double beside) {
  if (!need_) need_.emplace(*model_);
  const bool keeps_parameters = !opened_ || opened_->state().options.keep_parameters;
  check(*need_, config(), images, pool_->size(), keeps_parameters, beside, max_memory_);
  checked_ = std::max(checked_, images);
}

std::span<const float> Engine::run(std::span<const float> inputs, Together together) {
  const auto size = static_cast<std::size_t>(input_size());
  if (inputs.empty() || inputs.size() % size != 0) {
    fail("[classifier] input: expected images of {}x{}x3 = {} floats, found {} floats", config().image_height,
         config().image_width, size, inputs.size());
  }
  const std::size_t images = inputs.size() / size;
  if (images > checked_) check_memory(images);
  const auto slice = static_cast<std::size_t>(pool_->size());
  if (together == Together::kYes || input_hook_ || images <= slice) return forward(inputs);
  const auto classes = static_cast<std::size_t>(config().classes);
  gathered_.resize(images * classes);
  for (std::size_t first = 0; first < images; first += slice) {
    const std::span<const float> logits = forward(inputs.subspan(first * size, std::min(slice, images - first) * size));
    std::ranges::copy(logits, gathered_.begin() + static_cast<std::ptrdiff_t>(first * classes));
  }
  return gathered_;
}

std::span<const float> Engine::forward(std::span<const float> inputs) {
  const auto size = static_cast<std::size_t>(input_size());
  logits_ = {};  // its buffer is free again before the run
  executor_->start(static_cast<std::int32_t>(inputs.size() / size));
  const ops::Value image = executor_->input({config().image_height, config().image_width, 3}, inputs);
  logits_ = input_hook_ ? forward_with_hook(image) : model_->forward(*executor_, image);
  return executor_->read(logits_);
}

ops::Value Engine::forward_with_hook(const ops::Value& image) {
  ops::LayerInputs layers(*executor_, [&](const ops::Parameter& weight, const ops::Value& input) {
    const std::span<const float> values = executor_->read(input);
    layer_input_.assign(values.begin(), values.end());
    input_hook_(weight, layer_input_);
    return executor_->input(input.shape(), layer_input_);
  });
  return model_->forward(layers, image);
}

std::string not_finite(std::span<const float> logits) {
  const auto found = std::ranges::find_if_not(logits, [](float logit) { return std::isfinite(logit); });
  if (found == logits.end()) return "";
  const float shown = std::isnan(*found) ? std::abs(*found) : *found;  // a NaN's sign means nothing
  return fmt::format("logit {} is {}: the input is not finite or the weights overflow float32", found - logits.begin(),
                     shown);
}

void Engine::set_hook(Hook hook) {
  if (!hook) return executor_->set_tap_hook({});
  executor_->set_tap_hook([this, hook = std::move(hook)](std::string_view name, const ops::Value& value) {
    hook(name, value.shape(), executor_->read(value));
  });
}

}  // namespace gcvit::inference
