// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

#include <nanobind/nanobind.h>

namespace gcvit::python {

/// How long Ctrl-C may wait.
constexpr std::chrono::milliseconds kBetweenSignals{50};

/// Lets Python run its signal handlers now and then during a long computation without the GIL; what a handler raises is thrown.
class Signals {
 public:
  void check() {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < kBetweenSignals) return;
    last_ = now;
    const nanobind::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw nanobind::python_error();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace gcvit::python
