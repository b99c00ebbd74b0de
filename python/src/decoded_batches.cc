// SPDX-License-Identifier: Apache-2.0
#include "decoded_batches.h"

#include <algorithm>
#include <utility>

namespace gcvit::python {

DecodedBatches::DecodedBatches(const Model& model, std::vector<Image> images, std::size_t batch, int threads)
    : images_(std::move(images)), batch_size_(batch) {
  const std::size_t useful = std::min(std::min(batch, images_.size()), static_cast<std::size_t>(std::max(threads, 1)));
  for (std::size_t i = 0; i < useful; ++i) sessions_.emplace_back(model, SessionOptions{.threads = 1});
  decode(next_);
}

void DecodedBatches::decode(Batch& batch) {
  const std::size_t first = started_;
  const std::size_t count = std::min(batch_size_, images_.size() - first);
  started_ += count;
  batch.decoding.clear();
  batch.errors.assign(count, nullptr);
  if (count == 0) return batch.tensors.clear();
  const std::size_t size = sessions_.front().tensor_size();
  batch.tensors.resize(count * size);
  for (std::size_t thread = 0; thread < sessions_.size(); ++thread) {
    batch.decoding.push_back(std::async([this, &batch, first, count, size, thread] {
      for (std::size_t i = thread; i < count; i += sessions_.size()) {
        try {
          sessions_[thread].preprocess(images_[first + i], std::span(batch.tensors).subspan(i * size, size));
        } catch (...) {
          batch.errors[i] = std::current_exception();
        }
      }
    }));
  }
}

std::span<const float> DecodedBatches::next() {
  for (const std::future<void>& thread : next_.decoding) thread.wait();
  std::swap(ready_, next_.tensors);
  for (const std::exception_ptr& error : next_.errors) {
    if (error) std::rethrow_exception(error);
  }
  decode(next_);
  return ready_;
}

}  // namespace gcvit::python
