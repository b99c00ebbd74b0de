// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace gcvit::kernels {

/// The SIMD target in use, e.g. "AVX2": the best that the CPU has, or what GCVIT_TARGET names. Throws `Error` when
/// GCVIT_TARGET names none that this CPU can run, listing those it can.
std::string target();
/// Every target that is compiled in and that this CPU can run, best first.
std::vector<std::string> available_targets();
/// Takes a target by name for the rest of the process, before any kernel is called (tests use it to try each).
void force_target(const std::string& name);

}  // namespace gcvit::kernels
