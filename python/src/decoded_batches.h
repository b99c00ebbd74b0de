// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <exception>
#include <future>
#include <span>
#include <vector>

#include "gcvit/session.h"

namespace gcvit::python {

/// Images as tensors, a batch at a time. The next batch is decoded, on threads of its own, while the caller computes with one.
class DecodedBatches {
 public:
  /// At most `batch` images at a time, decoded on `threads` threads. What the images view must outlive this.
  DecodedBatches(const Model& model, std::vector<Image> images, std::size_t batch, int threads);

  /// The tensors of the next images, [images, height, width, 3], which stay until the next call; none behind the last image.
  /// Throws the `Error` of the first one that can't be read.
  std::span<const float> next();

 private:
  struct Batch {
    std::vector<float> tensors;
    std::vector<std::exception_ptr> errors;  ///< of each image
    std::vector<std::future<void>> decoding;  ///< waits for its threads when it ends
  };

  /// Starts with the next images, if there are any.
  void decode(Batch& batch);

  std::vector<Image> images_;
  std::size_t batch_size_;
  std::size_t started_ = 0;  ///< images that are decoded or being decoded
  std::vector<Session> sessions_;  ///< of each thread
  std::vector<float> ready_;  ///< what the caller has
  Batch next_;
};

}  // namespace gcvit::python
