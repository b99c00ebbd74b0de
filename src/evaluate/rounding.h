// SPDX-License-Identifier: Apache-2.0
// What a model's answers lose when its weights are rounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "data/image_set.h"
#include "inference/engine.h"
#include "inference/preparation.h"
#include "model/gcvit.h"

namespace gcvit::evaluate {

/// sqrt(sum (a - b)^2 / sum b^2), over as many values as are added.
class RelativeError {
 public:
  void add(std::span<const float> found, std::span<const float> expected);
  double value() const;

 private:
  double difference_ = 0.0;
  double size_ = 0.0;
};

/// A weight that was rounded.
struct RoundedLayer {
  std::string weight;  ///< canonical name
  DType dtype;
  double error;  ///< of the weight itself
};

/// The weights that `rounded` has in a narrower type than `exact`, a model of the same config in f32.
std::vector<RoundedLayer> rounded_layers(const model::GCViT& exact, const model::GCViT& rounded);

/// Runs images through both models. Both must have values, `exact` f32 ones; it is changed and changed back.
class RoundingStudy {
 public:
  RoundingStudy(std::shared_ptr<model::GCViT> exact, std::shared_ptr<const model::GCViT> rounded, int threads,
                std::uint64_t max_memory);

  struct Options {
    inference::Preparation preparation;
    int batch = 8;
    /// So many images are kept for `error_of_layer`.
    std::size_t kept = 32;
    /// Called after each image, with its error or an empty text.
    std::function<void(std::string_view error)> progress = [](std::string_view) {};
  };
  /// Images that can't be read are left out.
  void run(const data::ImageSet& images, const Options& options);

  std::int64_t images() const { return images_; }
  /// Images that both models take for the same class.
  std::int64_t agreed() const { return agreed_; }
  /// Their share of all images, of which there must be one.
  double agreement() const { return static_cast<double>(agreed_) / static_cast<double>(images_); }
  /// Of the logits of all images.
  double error() const { return error_.value(); }
  /// Of the logits of the images that were kept, with this weight alone rounded.
  double error_of_layer(const std::string& weight);

 private:
  void compare(std::span<const float> tensors, std::size_t kept);

  std::shared_ptr<model::GCViT> exact_;
  std::shared_ptr<const model::GCViT> rounded_;
  std::shared_ptr<ThreadPool> pool_;
  inference::Engine exact_engine_;
  inference::Engine rounded_engine_;
  std::int64_t images_ = 0;
  std::int64_t agreed_ = 0;
  RelativeError error_;
  std::vector<float> kept_tensors_;
  std::vector<float> kept_logits_;
};

}  // namespace gcvit::evaluate
