// SPDX-License-Identifier: Apache-2.0
#include "kernels/target.h"

#include <cstdint>
#include <cstdlib>

#include "kernels/highway.h"
#include "base/error.h"

#include <hwy/highway.h>
#include <hwy/targets.h>

namespace gcvit::kernels {
namespace {

/// Lets Highway choose among these alone; 0 among all that the CPU can run.
void use_targets(std::int64_t targets) {
  hwy::SetSupportedTargetsForTest(targets);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

/// All that are compiled in and that this CPU can run, best first, whichever is in use. Highway is asked once, before
/// anyone can have limited it, as it knows no question that changes nothing.
const std::vector<std::int64_t>& runnable_targets() {
  static const std::vector<std::int64_t> kTargets = hwy::SupportedAndGeneratedTargets();
  return kTargets;
}

/// Sets the target that GCVIT_TARGET names, once a process.
void apply_environment() {
  static const bool kApplied = [] {
    const char* name = std::getenv("GCVIT_TARGET");
    if (name != nullptr && *name != '\0') force_target(name);
    return true;
  }();
  static_cast<void>(kApplied);
}

}  // namespace

std::string target() {
  apply_environment();
  return hwy::TargetName(hwy::SupportedAndGeneratedTargets().front());
}

std::vector<std::string> available_targets() {
  std::vector<std::string> names;
  for (const std::int64_t target : runnable_targets()) names.emplace_back(hwy::TargetName(target));
  return names;
}

void force_target(const std::string& name) {
  for (const std::int64_t target : runnable_targets()) {
    if (name == hwy::TargetName(target)) return use_targets(target);
  }
  fail("[target] GCVIT_TARGET: expected one of {}, found \"{}\"", fmt::join(available_targets(), ", "), name);
}

}  // namespace gcvit::kernels
