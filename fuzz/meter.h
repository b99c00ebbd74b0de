// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace gcvit::fuzz {

/// Counts what is allocated and how long it takes. There is one, since the sanitizer's hooks know no object.
class Meter {
 public:
  /// Once, before anything is counted.
  static void install();

  static void start();
  /// The most bytes that were allocated at one time since the start, beyond what was there then; all threads together.
  static std::uint64_t peak_bytes();
  static std::uint64_t allocations();
  /// Processor time of all threads.
  static double seconds();
};

}  // namespace gcvit::fuzz
