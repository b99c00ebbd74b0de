// SPDX-License-Identifier: Apache-2.0
#include "image/image_queue.h"

#include <unistd.h>

#include <algorithm>
#include <new>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/resource_error.h"

namespace gcvit::image {
namespace {

/// Added to the threads' nice value.
constexpr int kLowerPriority = 10;

}  // namespace

ImageQueue::ImageQueue(std::size_t count, std::size_t tensor_size, std::size_t capacity, int threads, Prepare prepare)
    : count_(count),
      prepare_(std::move(prepare)),
      slots_(std::clamp<std::size_t>(capacity, 1, std::max<std::size_t>(count, 1))) {
  for (Slot& slot : slots_) slot.image.tensor.resize(tensor_size);
  const std::size_t wanted = std::min(static_cast<std::size_t>(std::max(threads, 1)), slots_.size());
  try {
    threads_.reserve(wanted);
    for (std::size_t i = 0; i < wanted && i < count; ++i)
      threads_.emplace_back([this, i] { work(static_cast<int>(i)); });
  } catch (const std::system_error& error) {
    shut_down();
    throw ResourceError(fmt::format("[image] can't start {} threads that decode: {}", wanted, error.code().message()));
  } catch (...) {
    shut_down();
    throw;
  }
}

ImageQueue::~ImageQueue() { shut_down(); }

void ImageQueue::shut_down() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  slot_free_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ImageQueue::work(int thread) {
  // On Linux a thread's own value.
  static_cast<void>(nice(kLowerPriority));
  while (true) {
    Slot* slot = nullptr;
    {
      std::unique_lock lock(mutex_);
      slot_free_.wait(lock, [this] { return stop_ || started_ == count_ || started_ < released_ + slots_.size(); });
      if (stop_ || started_ == count_) return;
      slot = &slot_of(started_);
      slot->image.index = started_++;
    }
    Image& image = slot->image;
    image.error.clear();
    slot->exception = nullptr;
    try {
      prepare_(image.index, image.tensor, thread);
    } catch (const ResourceError&) {
      slot->exception = std::current_exception();
    } catch (const Error& error) {
      image.error = error.what();
    } catch (const std::bad_alloc&) {
      image.error = "[image] not enough memory for it";
    } catch (...) {
      slot->exception = std::current_exception();
    }
    {
      const std::scoped_lock lock(mutex_);
      slot->ready = true;
    }
    slot_ready_.notify_one();
  }
}

const ImageQueue::Image* ImageQueue::next() {
  std::unique_lock lock(mutex_);
  if (handed_out_) {
    slot_of(released_).ready = false;
    ++released_;
    handed_out_ = false;
    slot_free_.notify_one();
  }
  if (released_ == count_) {
    slot_free_.notify_all();
    return nullptr;
  }
  slot_ready_.wait(lock, [this] { return slot_of(released_).ready; });
  handed_out_ = true;
  if (slot_of(released_).exception) std::rethrow_exception(slot_of(released_).exception);
  return &slot_of(released_).image;
}

}  // namespace gcvit::image
