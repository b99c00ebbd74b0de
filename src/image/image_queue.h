// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace gcvit::image {

/// Tensors made of photos on threads beside the ones that compute, handed out in order. At most `capacity` tensors wait,
/// so memory doesn't grow with the number of photos.
class ImageQueue {
 public:
  /// Makes photo `index`'s tensor, on the queue's thread `thread` (from 0): scratch memory is kept by it. An `Error`, or
  /// memory that it didn't get, spoils that photo alone. A `ResourceError` and whatever else it throws comes out of
  /// `next` when the photo's turn has come.
  using Prepare = std::function<void(std::size_t index, std::span<float> tensor, int thread)>;

  /// Photos 0..count-1, tensors of `tensor_size` floats, `threads` threads at lower priority (they live in the gaps
  /// that computing leaves). Throws `Error`, with no thread left, when one can't be started.
  ImageQueue(std::size_t count, std::size_t tensor_size, std::size_t capacity, int threads, Prepare prepare);
  /// Drops what waits and ends the threads once each is done with its photo.
  ~ImageQueue();
  ImageQueue(const ImageQueue&) = delete;
  ImageQueue& operator=(const ImageQueue&) = delete;

  struct Image {
    std::size_t index = 0;
    std::vector<float> tensor;
    std::string error;  ///< why there is no tensor; else empty
  };

  /// The next photo in order, which stays until the next call; nullptr after the last.
  const Image* next();

 private:
  struct Slot {
    Image image;
    std::exception_ptr exception;  ///< what ends more than this photo
    bool ready = false;
  };

  void work(int thread);
  void shut_down();
  Slot& slot_of(std::size_t index) { return slots_[index % slots_.size()]; }

  const std::size_t count_;
  const Prepare prepare_;
  std::vector<Slot> slots_;  ///< photo i lives in slot i modulo their number
  std::mutex mutex_;
  std::condition_variable slot_free_;
  std::condition_variable slot_ready_;
  std::size_t started_ = 0;  ///< photos that a thread has begun
  std::size_t released_ = 0;  ///< photos whose slot is free again
  bool handed_out_ = false;  ///< photo `released_` is with the caller
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace gcvit::image
