// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace gcvit::kernels {

/// Cache line and widest vector of any target, in bytes.
inline constexpr std::size_t kAlignment = 64;

/// Floats on a 64-byte boundary, not initialised. Move-only.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::int64_t size)
      : data_(static_cast<float*>(
            ::operator new[](static_cast<std::size_t>(size) * sizeof(float), std::align_val_t{kAlignment}))),
        size_(size) {}

  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  std::int64_t size() const { return size_; }

 private:
  struct Delete {
    void operator()(float* data) const { ::operator delete[](data, std::align_val_t{kAlignment}); }
  };
  std::unique_ptr<float, Delete> data_;
  std::int64_t size_ = 0;
};

}  // namespace gcvit::kernels
