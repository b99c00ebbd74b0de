// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "gcvit/model.h"
#include "inference/memory_need.h"
#include "model/gcvit.h"
#include "ops/executor.h"

namespace gcvit::inference {

/// What is wrong with an image's logits when one is not finite, for a sentence; empty when all are.
std::string not_finite(std::span<const float> logits);

/// Tensors in, logits out, on this CPU. One run at a time.
class Engine {
 public:
  /// On a model whose parameters have values; they are packed by this engine, for itself. `max_memory` in bytes, 0 for the share of
  /// this machine's memory that `default_memory_limit` says.
  Engine(std::shared_ptr<const model::GCViT> model, std::shared_ptr<ThreadPool> pool, std::uint64_t max_memory = 0);
  /// On an opened model's packed weights; `pool` may be the model's or another.
  Engine(const Model& model, std::shared_ptr<ThreadPool> pool);

  const model::GCViT& model() const { return *model_; }
  const model::GCViTConfig& config() const { return model_->config(); }
  ThreadPool& pool() { return *pool_; }
  const ThreadPool& pool() const { return *pool_; }
  /// Floats of one input image: height x width x 3.
  std::int64_t input_size() const { return std::int64_t{config().image_height} * config().image_width * 3; }

  /// Throws `Error` when runs of a model over `images` images on `threads` threads would take more than `max_memory`
  /// bytes. The model needs no values. `keeps_parameters`: they stay beside the packed ones.
  static void check_memory(const model::GCViT& model, std::size_t images, int threads, bool keeps_parameters,
                           std::uint64_t max_memory);
  /// Throws `Error` when a run over `images` images, with `beside` floats of its caller's, would take more than the
  /// engine may. Allocates nothing of that size.
  void check_memory(std::size_t images, double beside = 0.0);

  /// Whether the hooks of a run see all images at once.
  enum class Together : bool { kNo, kYes };

  /// Runs whole images (NHWC, normalised), at least one; returns their logits, [images, classes], which stay until the
  /// next run. Throws `Error` when `inputs` isn't whole images, or as `check_memory` does. Logits that aren't finite
  /// (`not_finite`) concern their own image alone. Unless the images are to stay together, each forward takes one a thread, whose
  /// maps stay in the thread's caches; that changes no bit.
  std::span<const float> run(std::span<const float> inputs, Together together = Together::kNo);

  /// Called during a run for each value that the model names, with the floats (NHWC) of a forward's images. What it throws ends the run.
  using Hook = std::function<void(std::string_view name, const ops::Shape& shape, std::span<const float> values)>;
  void set_hook(Hook hook);
  /// Called during a run with what goes into each linear layer and strided convolution, all images' floats (NHWC), which it may
  /// change. Images stay together then, and runs take the plain composition of sub-layers then, and the memory for it.
  using InputHook = std::function<void(const ops::Parameter& weight, std::span<float> values)>;
  void set_input_hook(InputHook hook) { input_hook_ = std::move(hook); }

 private:
  std::span<const float> forward(std::span<const float> inputs);
  ops::Value forward_with_hook(const ops::Value& image);

  std::optional<Model> opened_;  ///< keeps the weights
  std::shared_ptr<const model::GCViT> model_;
  std::shared_ptr<ThreadPool> pool_;
  std::uint64_t max_memory_;
  std::optional<MemoryNeed> need_;
  std::size_t checked_ = 0;  ///< images that a run may have
  std::unique_ptr<ops::Executor> executor_;
  InputHook input_hook_;
  std::vector<float> layer_input_;
  ops::Value logits_;
  std::vector<float> gathered_;  ///< logits of a run's forwards
};

}  // namespace gcvit::inference
