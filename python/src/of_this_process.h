// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>

#include <unistd.h>

namespace gcvit::python {

/// Owns what has threads. A child of fork() has none of its parent's threads, and ending them would wait for them forever: there
/// such a value is left as it is.
template <typename T>
class OfThisProcess {
 public:
  explicit OfThisProcess(std::unique_ptr<T> value) : value_(std::move(value)) {}
  ~OfThisProcess() { reset(); }
  OfThisProcess(OfThisProcess&&) noexcept = default;
  OfThisProcess& operator=(OfThisProcess&&) = delete;

  /// Whether its threads are there.
  bool is_alive() const { return process_ == getpid(); }
  void reset(std::unique_ptr<T> value = nullptr) {
    if (!is_alive()) static_cast<void>(value_.release());
    value_ = std::move(value);
    process_ = getpid();
  }
  T* get() const { return value_.get(); }
  T& operator*() const { return *value_; }
  T* operator->() const { return value_.get(); }

 private:
  std::unique_ptr<T> value_;
  pid_t process_ = getpid();
};

}  // namespace gcvit::python
