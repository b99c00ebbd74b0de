// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gcvit {

/// Element types that weight files hold. Computation is in f32; the others are storage.
enum class DType : std::uint8_t { kF32, kF16, kBF16, kF64, kI64, kI32, kU8, kI8 };

/// Bytes of one element.
std::size_t size_of(DType dtype);
/// "f32", "f16", "bf16", "f64", "i64", "i32", "u8", "i8".
std::string_view name_of(DType dtype);

/// Axis lengths, outermost first.
using Dims = std::vector<std::int64_t>;

/// The number of elements; throws `Error` for a negative axis or when the product overflows 63 bits.
std::int64_t element_count(std::span<const std::int64_t> dims);
/// "[64, 3, 3, 3]".
std::string to_string(std::span<const std::int64_t> dims);

/// A dense, contiguous, C-ordered array that shares its storage: copying a Tensor copies a handle. The storage may
/// be memory of its own or a piece of a mapped file (which stays mapped while any tensor of it lives).
class Tensor {
 public:
  /// No axes, no storage: `empty()` is true.
  Tensor() = default;
  /// Storage of its own, filled with zeros.
  Tensor(DType dtype, Dims dims);
  /// A view of `bytes`, kept alive by `owner`. Throws `Error` unless `bytes` is exactly what dtype and dims need.
  Tensor(DType dtype, Dims dims, std::shared_ptr<const void> owner, std::span<const std::byte> bytes);

  static Tensor from_values(Dims dims, std::span<const float> values);

  bool empty() const { return data_ == nullptr; }
  DType dtype() const { return dtype_; }
  const Dims& dims() const { return dims_; }
  std::int64_t size() const { return size_; }
  std::span<const std::byte> bytes() const;

  /// The elements as f32. Throws `Error` when the dtype is another or a view lies at an unaligned address (`to_f32()`
  /// converts both).
  std::span<const float> values() const;
  /// The elements for writing. Throws `Error` when the dtype is not f32 or the storage is a view.
  std::span<float> mutable_values();

  /// This tensor when it is f32 and aligned for it, otherwise a converted copy of the other types.
  Tensor to_f32() const;
  /// A copy rounded to nearest even; `dtype` is kF32, kF16 or kBF16.
  Tensor to(DType dtype) const;
  /// The same storage under other axes with the same number of elements.
  Tensor reshaped(Dims dims) const;

 private:
  DType dtype_ = DType::kF32;
  bool writable_ = false;
  Dims dims_;
  std::int64_t size_ = 0;
  std::shared_ptr<const void> owner_;
  const std::byte* data_ = nullptr;
};

}  // namespace gcvit
