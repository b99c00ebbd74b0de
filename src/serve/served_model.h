// SPDX-License-Identifier: Apache-2.0
// A model that answers: its bounded queue, its batches, its times.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gcvit/image.h"
#include "gcvit/model.h"
#include "gcvit/pipeline.h"
#include "gcvit/session.h"
#include "inference/image_pipeline.h"
#include "serve/explain_worker.h"
#include "serve/metrics.h"

namespace gcvit::serve {

using Clock = std::chrono::steady_clock;

struct BatchingOptions {
  /// Images that go through the model together; 0: one a thread. The model computes larger batches in slices of that anyway, so that a larger
  /// one gains little time in all, and keeps the answers of its first slices waiting for its last.
  int max_batch = 0;
  std::chrono::microseconds max_delay = {};  ///< that a batch waits for more images
  std::size_t queue = 64;  ///< images that are accepted and have no result yet
  std::size_t explain_queue = 8;  ///< explanations and features that are accepted and aren't answered
  ImageOptions images = {};
};

/// Any number of threads may submit. Which images go through the model together changes no bit of an answer.
class ServedModel {
 public:
  /// Throws `Error` when a full queue would take more memory than the model may, or threads can't be started.
  ServedModel(std::string name, Model model, const BatchingOptions& options, Metrics& metrics);
  /// Waits until everything that was accepted has its result.
  ~ServedModel();
  ServedModel(const ServedModel&) = delete;
  ServedModel& operator=(const ServedModel&) = delete;

  const std::string& name() const { return name_; }
  const Model& model() const { return session_.model(); }
  /// Of nobody's run: what it says of the model is for everyone.
  const Session& session() const { return session_; }
  ExplainWorker& explain_worker() { return explain_worker_; }
  /// Images that were accepted and have no result yet.
  std::size_t waiting() const { return inside_; }

  /// An image, or a tensor as the model's preprocessing makes them: a view that must live until `done` was called.
  struct Input {
    std::optional<Image> image;
    std::span<const float> tensor;
  };
  using Done = std::function<void(std::vector<ImageLogits> results)>;

  /// What hasn't been computed gets an error of code kCancelled; nothing may be submitted afterwards.
  void cancel();

  /// Takes all inputs or, when the queue has too little room for them, none: false. `done` gets their results in order, on a thread of the
  /// model's own, which it holds up; it must not throw. An image whose turn comes behind the deadline is an error of code kCancelled.
  bool submit(std::vector<Input> inputs, Clock::time_point deadline, Done done);

 private:
  struct Request;
  void prepare(Request& request, std::size_t index, std::span<float> tensor, image::PreprocessScratch& scratch);
  void finish(Request& request, std::size_t index, ImageLogits result);

  std::string name_;
  std::size_t queue_;
  Metrics& metrics_;
  Session session_;
  std::atomic<std::size_t> inside_ = 0;
  Clock::time_point batch_began_;  ///< of the pipeline's thread
  ExplainWorker explain_worker_;  ///< outlives the pipeline, whose results may be explained
  inference::ImagePipeline pipeline_;
};

}  // namespace gcvit::serve
