// SPDX-License-Identifier: Apache-2.0
// Shows, and lets one change, what goes into a model's layers.
#pragma once

#include <functional>
#include <utility>

#include "ops/forwarding_backend.h"

namespace gcvit::ops {

/// Hands every operation on to another backend, sub-layers as their plain composition; values are the other's. What a linear layer
/// or strided convolution takes goes through a function first.
class LayerInputs final : public ForwardingBackend {
 public:
  /// Gives the value of `inner` that the layer of this weight takes in place of `input`.
  using Replace = std::function<Value(const Parameter& weight, const Value& input)>;
  /// `inner` must outlive this one.
  LayerInputs(Backend& inner, Replace replace) : ForwardingBackend(inner), replace_(std::move(replace)) {}

  Value convolution3x3_stride2(const Value& x, const Conv3x3& convolution) override {
    return inner().convolution3x3_stride2(replace_(convolution.weight, x), convolution);
  }
  Value linear(const Value& x, const Linear& linear, const Epilogue& epilogue) override {
    return inner().linear(replace_(linear.weight, x), linear, epilogue);
  }

 private:
  Replace replace_;
};

}  // namespace gcvit::ops
