// SPDX-License-Identifier: Apache-2.0
// Images in, logits out, while more come: decoding beside computing, a bounded number of images at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "gcvit/image.h"
#include "gcvit/model.h"
#include "gcvit/session.h"

namespace gcvit {

struct PipelineOptions {
  /// Most images that go through the model together: those that are ready. None waits for others. Results don't depend on it.
  int batch = 8;
  /// Threads that compute: 0 for the model's pool, else of the pipeline's own.
  int threads = 0;
  /// Threads that decode, at lower priority; 0 for as many as compute.
  int decode_threads = 0;
  /// Images that may be in the pipeline, from being submitted until their result was taken; 0 for twice the batch and one
  /// a thread that decodes.
  std::size_t capacity = 0;
  /// Results come in the order of submission; else as they are ready.
  bool in_order = true;
  ImageOptions images = {};
};

/// What came of one image.
struct ImageLogits {
  std::size_t image = 0;  ///< how many were submitted before it
  std::string name;
  std::vector<float> logits;  ///< one a class; empty where there is an error
  std::string error;  ///< why there are none; else empty
  ErrorCode code = ErrorCode::kInvalidFile;  ///< of the error
  bool overflowed = false;  ///< the image could be read, but its logits aren't finite
};

/// Any number of threads may submit. An image that can't be read, or whose logits aren't finite, is an error of its own.
/// What has run out beside it (descriptors, memory) is so too, with code kIo.
class GCVIT_EXPORT Pipeline {
 public:
  explicit Pipeline(Model model, const PipelineOptions& options = {});
  /// Cancels what hasn't been computed.
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  const Model& model() const;

  /// Waits while the pipeline is full. Throws `Error` of code kCancelled behind `cancel`, of kInvalidArgument behind `finish`.
  std::future<ImageLogits> submit(Image image);
  /// The same with a callback, which runs on the pipeline's own thread and holds up what comes behind it. It must not throw.
  void submit(Image image, std::function<void(ImageLogits result)> done);
  /// False, at once, when the pipeline is full.
  bool try_submit(Image image, std::function<void(ImageLogits result)> done);

  /// Waits until every submitted image has its result; none can be submitted afterwards.
  void finish();
  /// What hasn't been computed gets an error of code kCancelled.
  void cancel();

  struct State;  ///< the library's own

 private:
  std::unique_ptr<State> state_;
};

}  // namespace gcvit
