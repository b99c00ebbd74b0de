// SPDX-License-Identifier: Apache-2.0
#include "kernels/target.h"

#include <cstdlib>

#include "kernels/highway.h"
#include "tensor/error.h"

#include <hwy/highway.h>
#include <hwy/targets.h>

namespace gcvit::kernels {
namespace {

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
  hwy::SetSupportedTargetsForTest(0);
  std::vector<std::string> names;
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) names.emplace_back(hwy::TargetName(target));
  return names;
}

void force_target(const std::string& name) {
  hwy::SetSupportedTargetsForTest(0);
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    if (name == hwy::TargetName(target)) {
      hwy::SetSupportedTargetsForTest(target);
      hwy::GetChosenTarget().Update(hwy::SupportedTargets());
      return;
    }
  }
  fail("[target] GCVIT_TARGET: expected one of {}, found \"{}\"", fmt::join(available_targets(), ", "), name);
}

}  // namespace gcvit::kernels
