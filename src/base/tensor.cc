// SPDX-License-Identifier: Apache-2.0
#include "base/tensor.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/half.h"

namespace gcvit {
namespace {

/// Whether floats may be read there: a view of a file may begin anywhere.
bool is_aligned(const std::byte* data) { return reinterpret_cast<std::uintptr_t>(data) % alignof(float) == 0; }

template <typename Element, typename Convert>
void convert_elements(std::span<const std::byte> from, std::span<float> to, Convert convert) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    Element element;
    std::memcpy(&element, from.data() + i * sizeof(Element), sizeof(Element));
    to[i] = convert(element);
  }
}

}  // namespace

std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::kF32: return 4;
    case DType::kF16: return 2;
    case DType::kBF16: return 2;
    case DType::kF64: return 8;
    case DType::kI64: return 8;
    case DType::kI32: return 4;
    case DType::kU8: return 1;
    case DType::kI8: return 1;
  }
  fail("[tensor] unknown dtype {}", static_cast<int>(dtype));
}

std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::kF32: return "f32";
    case DType::kF16: return "f16";
    case DType::kBF16: return "bf16";
    case DType::kF64: return "f64";
    case DType::kI64: return "i64";
    case DType::kI32: return "i32";
    case DType::kU8: return "u8";
    case DType::kI8: return "i8";
  }
  fail("[tensor] unknown dtype {}", static_cast<int>(dtype));
}

std::int64_t element_count(std::span<const std::int64_t> dims) {
  std::int64_t count = 1;
  for (const std::int64_t dim : dims) {
    if (dim < 0 || __builtin_mul_overflow(count, dim, &count)) {
      fail("[tensor] axes {} are no array: expected non-negative lengths whose product fits 63 bits", to_string(dims));
    }
  }
  return count;
}

std::string to_string(std::span<const std::int64_t> dims) { return fmt::format("[{}]", fmt::join(dims, ", ")); }

Tensor::Tensor(DType dtype, Dims dims) : dtype_(dtype), writable_(true), dims_(std::move(dims)) {
  size_ = element_count(dims_);
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(size_, static_cast<std::int64_t>(size_of(dtype)), &bytes)) {
    fail("[tensor] axes {} of {} need more than 63 bits of bytes", to_string(dims_), name_of(dtype));
  }
  auto storage = std::make_shared<std::byte[]>(static_cast<std::size_t>(bytes) + 1);
  data_ = storage.get();
  owner_ = std::move(storage);
}

Tensor::Tensor(DType dtype, Dims dims, std::shared_ptr<const void> owner, std::span<const std::byte> bytes)
    : dtype_(dtype), dims_(std::move(dims)), owner_(std::move(owner)), data_(bytes.data()) {
  size_ = element_count(dims_);
  if (static_cast<std::size_t>(size_) > bytes.size() ||
      static_cast<std::size_t>(size_) * size_of(dtype) != bytes.size()) {
    fail("[tensor] {} {} needs {} elements of {} bytes, found {} bytes", name_of(dtype), to_string(dims_), size_,
         size_of(dtype), bytes.size());
  }
  alignas(float) static constexpr std::byte kNothing{};
  if (size_ == 0) data_ = &kNothing;  // wherever an empty span points
}

Tensor Tensor::from_values(Dims dims, std::span<const float> values) {
  Tensor tensor(DType::kF32, std::move(dims));
  if (static_cast<std::size_t>(tensor.size()) != values.size()) {
    fail("[tensor] {} needs {} values, found {}", to_string(tensor.dims()), tensor.size(), values.size());
  }
  std::copy(values.begin(), values.end(), tensor.mutable_values().begin());
  return tensor;
}

std::span<const std::byte> Tensor::bytes() const { return {data_, static_cast<std::size_t>(size_) * size_of(dtype_)}; }

std::span<const float> Tensor::values() const {
  if (dtype_ != DType::kF32) fail("[tensor] expected f32 elements, found {}", name_of(dtype_));
  if (!empty() && !is_aligned(data_))
    fail("[tensor] f32 elements lie at an unaligned address: expected to_f32() first");
  return {reinterpret_cast<const float*>(data_), static_cast<std::size_t>(size_)};
}

std::span<float> Tensor::mutable_values() {
  if (dtype_ != DType::kF32) fail("[tensor] expected f32 elements, found {}", name_of(dtype_));
  if (!writable_) fail("[tensor] a view of a file can't be written");
  return {reinterpret_cast<float*>(const_cast<std::byte*>(data_)), static_cast<std::size_t>(size_)};
}

Tensor Tensor::to_f32() const {
  if (dtype_ == DType::kF32 && (empty() || is_aligned(data_))) return *this;
  Tensor converted(DType::kF32, dims_);
  const std::span<float> to = converted.mutable_values();
  switch (dtype_) {
    case DType::kF32: convert_elements<float>(bytes(), to, [](float v) { return v; }); break;
    case DType::kF16: convert_elements<std::uint16_t>(bytes(), to, f32_from_f16); break;
    case DType::kBF16: convert_elements<std::uint16_t>(bytes(), to, f32_from_bf16); break;
    case DType::kF64: convert_elements<double>(bytes(), to, [](double v) { return static_cast<float>(v); }); break;
    case DType::kI64:
      convert_elements<std::int64_t>(bytes(), to, [](std::int64_t v) { return static_cast<float>(v); });
      break;
    case DType::kI32:
      convert_elements<std::int32_t>(bytes(), to, [](std::int32_t v) { return static_cast<float>(v); });
      break;
    case DType::kU8:
      convert_elements<std::uint8_t>(bytes(), to, [](std::uint8_t v) { return static_cast<float>(v); });
      break;
    case DType::kI8:
      convert_elements<std::int8_t>(bytes(), to, [](std::int8_t v) { return static_cast<float>(v); });
      break;
  }
  return converted;
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == dtype_) return *this;
  const Tensor source = to_f32();
  if (dtype == DType::kF32) return source;
  if (dtype != DType::kF16 && dtype != DType::kBF16) {
    fail("[tensor] expected a conversion to f32, f16 or bf16, found {}", name_of(dtype));
  }
  Tensor converted(dtype, dims_);
  auto* to = reinterpret_cast<std::uint16_t*>(const_cast<std::byte*>(converted.data_));
  for (const float value : source.values()) *to++ = dtype == DType::kF16 ? f16_from_f32(value) : bf16_from_f32(value);
  return converted;
}

Tensor Tensor::reshaped(Dims dims) const {
  if (element_count(dims) != size_) {
    fail("[tensor] {} can't be read as {}: the number of elements differs", to_string(dims_), to_string(dims));
  }
  Tensor tensor = *this;
  tensor.dims_ = std::move(dims);
  return tensor;
}

}  // namespace gcvit
