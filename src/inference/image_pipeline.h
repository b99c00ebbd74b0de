// SPDX-License-Identifier: Apache-2.0
// Decoding, preprocessing and the model beside each other, for images that come one by one: what classify, eval and
// gcvit::Pipeline share.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "gcvit/model.h"
#include "gcvit/pipeline.h"
#include "inference/session_state.h"

namespace gcvit::inference {

/// An image by what gives its pixels, on any thread.
struct Job {
  std::function<image::Image()> decode;
  /// Where it is set, it writes the whole tensor instead, on a thread that decodes.
  std::function<void(std::span<float> tensor, image::PreprocessScratch& scratch)> prepare = {};
  std::string name;
  /// Gets the result, on the pipeline's thread, once. `exhausted` is set where descriptors, memory or threads have run out.
  std::function<void(ImageLogits result, std::exception_ptr exhausted)> done;
};

/// A batch in the range that a model takes. Throws `Error` for another.
std::size_t checked_batch(int batch);

struct ImagePipelineOptions {
  int batch = 8;
  int decode_threads = 0;  ///< as PipelineOptions has it
  std::size_t capacity = 0;
  bool in_order = true;
  /// How long a batch that isn't full waits for more images, from its first one on.
  std::chrono::microseconds max_delay = {};
  /// Called on the pipeline's thread before a batch of so many images is computed. It must not throw.
  std::function<void(std::size_t images)> on_batch = {};
};

class ImagePipeline {
 public:
  /// Computes on `session`, which is the pipeline's alone while it lives. Throws `Error` when an option is out of its range, a full pipeline
  /// would take more memory than the model may, or a thread can't be started.
  ImagePipeline(Session::State& session, const ImagePipelineOptions& options);
  ~ImagePipeline();
  ImagePipeline(const ImagePipeline&) = delete;
  ImagePipeline& operator=(const ImagePipeline&) = delete;

  std::size_t capacity() const { return capacity_; }

  /// Where the pipeline is full, waits for room or returns false. Throws `Error` behind `cancel` or `finish`.
  bool submit(Job job, bool wait);
  void finish();
  void cancel();

 private:
  enum class Stage : std::uint8_t { kWaiting, kDecoding, kReady };
  struct Slot {
    Job job;
    std::size_t index = 0;
    Stage stage = Stage::kWaiting;
    std::vector<float> tensor;
    std::string error;
    ErrorCode code = ErrorCode::kInvalidFile;
    std::exception_ptr exhausted;
  };
  using Slots = std::vector<std::unique_ptr<Slot>>;

  /// Makes the slot's outcome an error of code kCancelled.
  static void set_cancelled(Slot& slot);
  void start_threads(int decode_threads);
  void shut_down();
  void decode_images();
  void decode(Slot& slot, image::PreprocessScratch& scratch) const;
  void compute();
  /// What can be computed next, taken off the slots; waits for it. Empty at the end.
  Slots take_ready();
  bool has_ready() const;
  /// Whether waiting could not make the next batch larger.
  bool has_full_batch() const;
  void run(Slots& ready);
  void deliver(Slot& slot, ImageLogits result);

  Session::State& session_;
  const std::size_t batch_;
  const bool in_order_;
  const std::chrono::microseconds max_delay_;
  const std::function<void(std::size_t images)> on_batch_;
  std::size_t capacity_ = 0;
  std::vector<float> tensors_;  ///< of the batch that is computed

  std::mutex mutex_;
  std::condition_variable changed_;  ///< of `submit` and `finish`: there is room
  std::condition_variable work_;  ///< of the threads that decode
  std::condition_variable ready_;  ///< of the thread that computes
  std::deque<std::unique_ptr<Slot>> slots_;  ///< submitted and not computed, in order
  std::vector<std::vector<float>> free_tensors_;
  std::size_t submitted_ = 0;
  std::size_t inside_ = 0;  ///< submitted, and the result not delivered
  bool finished_ = false;
  bool cancelled_ = false;
  bool stop_ = false;
  std::vector<std::thread> decoders_;
  std::thread computer_;
};

}  // namespace gcvit::inference
