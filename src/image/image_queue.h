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

/// Tensors of images, prepared by background threads and handed out in order. At most `capacity` tensors wait, so that
/// memory doesn't grow with the number of images.
class ImageQueue {
 public:
  /// Makes the tensor of image `index` on the queue's thread `thread` (from 0), which may index scratch memory. An `Error` or
  /// `std::bad_alloc` becomes the error of that image alone. A `ResourceError` or any other exception is thrown by `next` when
  /// it reaches the image.
  using Prepare = std::function<void(std::size_t index, std::span<float> tensor, int thread)>;

  /// Images 0..count-1, tensors of `tensor_size` floats, `threads` threads at lower priority than those that compute. Throws
  /// `Error` when a thread can't be started, after ending the others.
  ImageQueue(std::size_t count, std::size_t tensor_size, std::size_t capacity, int threads, Prepare prepare);
  /// Discards waiting tensors and ends the threads once each is done with its image.
  ~ImageQueue();
  ImageQueue(const ImageQueue&) = delete;
  ImageQueue& operator=(const ImageQueue&) = delete;

  struct Image {
    std::size_t index = 0;
    std::vector<float> tensor;
    std::string error;  ///< why there is no tensor; else empty
  };

  /// The next image in order, valid until the next call; nullptr after the last.
  const Image* next();

 private:
  struct Slot {
    Image image;
    std::exception_ptr exception;  ///< an exception that ends more than this image
    bool ready = false;
  };

  void work(int thread);
  void shut_down();
  Slot& slot_of(std::size_t index) { return slots_[index % slots_.size()]; }

  const std::size_t count_;
  const Prepare prepare_;
  std::vector<Slot> slots_;  ///< image i uses slot i modulo their number
  std::mutex mutex_;
  std::condition_variable slot_free_;
  std::condition_variable slot_ready_;
  std::size_t started_ = 0;  ///< images that a thread has begun
  std::size_t released_ = 0;  ///< images whose slot is free again
  bool handed_out_ = false;  ///< the caller holds image `released_`
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace gcvit::image
