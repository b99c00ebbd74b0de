// SPDX-License-Identifier: Apache-2.0
#include "native/tape.h"

#include <utility>

namespace gcvit::native {

void Tape::start(bool recording, NativeBackend::Training training) {
  entries_.clear();
  nodes_.clear();
  branches_ = 0;
  recording_ = training_run_ = recording;
  training_ = std::move(training);
}

std::int32_t Tape::add_node(const ops::Shape& shape) {
  nodes_.push_back({.shape = shape, .needs_gradient = false, .retains_grad = false, .gradient = {}});
  return static_cast<std::int32_t>(nodes_.size()) - 1;
}

void Tape::record(std::int32_t output, Backward backward) {
  node(output).needs_gradient = true;
  entries_.push_back({output, std::move(backward)});
}

Tape::Entry Tape::pop() {
  Entry entry = std::move(entries_.back());
  entries_.pop_back();
  return entry;
}

}  // namespace gcvit::native
