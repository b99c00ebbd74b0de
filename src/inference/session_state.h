// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "gcvit/session.h"
#include "inference/engine.h"
#include "inference/preparation.h"

namespace gcvit {

struct Session::State {
  Model model;
  inference::Preparation preparation;
  inference::Engine engine;
  image::PreprocessScratch scratch;

  State(Model opened, const SessionOptions& options);

  /// The number of images in `tensors`; throws `Error` when they aren't whole ones, or there are none.
  std::size_t images_of(std::span<const float> tensors) const;

  using Take = std::function<void(std::size_t first, std::size_t count, std::span<const float> logits)>;
  /// Batch by batch: `take` gets the logits of images [first, first + count). `tap_slice` is called as `options.tap` is, but with the
  /// values of the images that pass together, which are a whole batch only when there is a tap.
  void run(std::span<const float> tensors, const RunOptions& options, const Take& take,
           const decltype(RunOptions::tap)& tap_slice = {});
};

}  // namespace gcvit
