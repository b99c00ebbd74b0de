// SPDX-License-Identifier: Apache-2.0
// Prints the SIMD targets that this CPU can run, one a line, so that scripts/test can run the tests on each.
#include <cstdio>

#include "kernels/target.h"

int main() {
  for (const std::string& target : gcvit::kernels::available_targets()) std::puts(target.c_str());
}
