// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace gcvit::ops {

class Backend;

/// One image's share of a value: a feature map of height x width positions with `channels` numbers each (NHWC without
/// the N). A vector is a map of one position. The batch size is the backend's; the model never reads it.
struct Shape {
  std::int32_t height = 1;
  std::int32_t width = 1;
  std::int32_t channels = 0;

  std::int64_t positions() const { return std::int64_t{height} * width; }
  std::int64_t size() const { return positions() * channels; }
  bool operator==(const Shape&) const = default;
};

/// "56x56x64".
std::string to_string(const Shape& shape);

/// What flows between operations: a shape and a handle to whatever the backend keeps for it. The last handle's end
/// tells the backend that the buffer is free. Valid while its backend lives.
class Value {
 public:
  Value() = default;
  /// For backends: takes over one reference to `id`.
  Value(Backend& backend, std::int32_t id, const Shape& shape) : backend_(&backend), id_(id), shape_(shape) {}
  Value(const Value& other);
  Value(Value&& other) noexcept
      : backend_(std::exchange(other.backend_, nullptr)), id_(other.id_), shape_(other.shape_) {}
  Value& operator=(Value other) noexcept {
    std::swap(backend_, other.backend_);
    std::swap(id_, other.id_);
    std::swap(shape_, other.shape_);
    return *this;
  }
  ~Value();

  bool empty() const { return backend_ == nullptr; }
  /// The backend that made it; null when empty.
  const Backend* backend() const { return backend_; }
  std::int32_t id() const { return id_; }
  const Shape& shape() const { return shape_; }

 private:
  Backend* backend_ = nullptr;
  std::int32_t id_ = -1;
  Shape shape_;
};

}  // namespace gcvit::ops
