// SPDX-License-Identifier: Apache-2.0
// Fixed scales of the inputs of layers with int8 weights, and what a model's answers lose by them.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "data/image_set.h"
#include "evaluate/batches.h"
#include "evaluate/rounding.h"
#include "inference/engine.h"
#include "model/gcvit.h"

namespace gcvit::evaluate {

/// Magnitudes: how many of each, to 1/128 of it, and the largest.
class MagnitudeHistogram {
 public:
  void add(std::span<const float> values);
  /// The least bound, to 1/128 of it, that at least this share of the magnitudes doesn't pass; for 1 the largest.
  float bound(double share) const;

 private:
  std::vector<std::int64_t> counts_ = std::vector<std::int64_t>(1 << 15);  ///< by the upper bits of the float
  std::int64_t total_ = 0;
  float largest_ = 0.0f;
};

/// x to the nearest of -128 to 127 times the scale, halves to even, as ONNX's QuantizeLinear and DequantizeLinear.
void round_to_scale(std::span<float> values, float scale);

/// One scale for all inputs of a layer, bound / 127, where the bound is the largest magnitude on photos or one that all but a small
/// share stay below: whichever takes the logits less far from those of float inputs.
class InputScaleStudy {
 public:
  /// Of the magnitudes, so many stay within the bound.
  static constexpr std::array<double, 3> kShares{1.0, 0.99999, 0.9999};

  /// `model` with floats for its int8 weights, `weights` their names.
  InputScaleStudy(std::shared_ptr<const model::GCViT> model, std::set<std::string> weights, int threads,
                  std::uint64_t max_memory);

  struct Outcome {
    double share = 1.0;
    std::map<std::string, float> scales = {};  ///< by the weight
    RelativeError error = {};  ///< of the logits, against float inputs
    std::int64_t agreed = 0;  ///< photos taken for the same class as with float inputs
  };
  /// Goes through the photos twice, leaving out those that can't be read; `progress` is called after each. Throws `Error` when a
  /// layer's input isn't finite.
  void run(const data::ImageSet& images, const BatchOptions& options,
           const std::function<void(std::string_view error)>& progress);

  /// Photos that could be read.
  std::int64_t images() const { return images_; }
  /// One for each of `kShares`, the one with the smallest error first.
  const std::vector<Outcome>& outcomes() const { return outcomes_; }

 private:
  void measure(std::span<const float> tensors);
  void compare(std::span<const float> tensors);

  std::shared_ptr<const model::GCViT> model_;
  std::set<std::string> weights_;
  std::shared_ptr<ThreadPool> pool_;
  inference::Engine engine_;
  std::map<std::string, MagnitudeHistogram> magnitudes_;
  std::vector<Outcome> outcomes_;
  std::int64_t images_ = 0;
};

}  // namespace gcvit::evaluate
