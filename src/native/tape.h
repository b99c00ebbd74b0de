// SPDX-License-Identifier: Apache-2.0
// What a training run records: for each value how its gradient goes on to the values and parameters it was made of.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "native/native_backend.h"
#include "native/parameter_vector.h"
#include "ops/backend.h"

namespace gcvit::native {

class Tape {
 public:
  /// Takes d loss / d output of an operation, whose buffer is its own to change or to hand on.
  using Backward = std::function<void(ops::Value gradient)>;

  /// A value of the run. Values' ids are used again when their last handle is gone; nodes are not.
  struct Node {
    ops::Shape shape;
    bool needs_gradient = false;
    bool retains_grad = false;
    ops::Value gradient;  ///< what has come together so far; a retained one stays
  };

  bool recording() const { return recording_; }
  /// Between start_training and the end of backward: drop path drops, whether or not this is recorded.
  bool training_run() const { return training_run_; }
  /// Forgets the last run. `recording` says whether the next one is recorded.
  void start(bool recording, NativeBackend::Training training);
  const NativeBackend::Training& training() const { return training_; }

  std::int32_t add_node(const ops::Shape& shape);
  Node& node(std::int32_t index) { return nodes_[static_cast<std::size_t>(index)]; }
  /// `backward` runs when all that is made of node `output` has run.
  void record(std::int32_t output, Backward backward);

  std::size_t entries() const { return entries_.size(); }
  struct Entry {
    std::int32_t output;
    Backward backward;
  };
  /// Takes the last entry off.
  Entry pop();

  /// Switches recording on or off until the end of its life.
  class Recording {
   public:
    Recording(Tape& tape, bool on) : tape_(tape), before_(tape.recording_) { tape_.recording_ = on; }
    ~Recording() { tape_.recording_ = before_; }
    Recording(const Recording&) = delete;
    Recording& operator=(const Recording&) = delete;

   private:
    Tape& tape_;
    bool before_;
  };
  void stop_recording() { recording_ = false; }
  void end() { training_run_ = false; }

  /// Counts residual branches of blocks in the order of computing.
  std::int32_t next_branch() { return branches_++; }
  std::int32_t branch() const { return branches_ - 1; }
  void set_branch(std::int32_t branch) { branches_ = branch + 1; }

  /// Where parameters' gradients go; set during backward.
  ParameterVector* gradients = nullptr;

 private:
  bool recording_ = false;
  bool training_run_ = false;
  NativeBackend::Training training_;
  std::vector<Node> nodes_;
  std::vector<Entry> entries_;
  std::int32_t branches_ = 0;
};

}  // namespace gcvit::native
