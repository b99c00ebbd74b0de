// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <utility>

#include "ops/backend.h"

namespace gcvit::ops {

/// What the products of linear layers and strided convolutions round their operands to. Sums, and all other operations,
/// are f32 with either.
enum class Precision : std::uint8_t { kF32, kBf16 };

/// A backend that computes numbers, in runs: `start`, `input`, the operations, `read`. One run at a time, and one model:
/// parameters are told apart by their ids.
///
/// A value belongs to the run that made it. The next `start` ends that run; an operation or `read` that is given a value
/// of an ended run, or of another backend, throws `Error`.
class Executor : public Backend {
 public:
  /// Begins a run: values made from here on hold `batch` images. Throws `Error` unless batch is positive.
  virtual void start(std::int32_t batch) = 0;
  /// A value of `batch` images from NHWC floats, batch * shape.size() of them (else throws `Error`); copied.
  virtual Value input(const Shape& shape, std::span<const float> values) = 0;
  /// The NHWC floats of a value, all images; valid while the value lives.
  virtual std::span<const float> read(const Value& value) const = 0;
  /// From the next start on; f32 without a call. Throws `Error` where the executor has no such precision.
  virtual void set_precision(Precision precision) = 0;

  using TapHook = std::function<void(std::string_view name, const Value& value)>;
  /// Called during forward for each named value of the model; an empty function is none.
  void set_tap_hook(TapHook hook) { tap_hook_ = std::move(hook); }
  void tap(std::string_view name, const Value& value) final {
    if (tap_hook_) tap_hook_(name, value);
  }

 private:
  TapHook tap_hook_;
};

}  // namespace gcvit::ops
