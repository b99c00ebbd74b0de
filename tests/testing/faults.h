// SPDX-License-Identifier: Apache-2.0
// A device that fills up, fails, or takes less than it is given: what the system's calls answer to our writers. The
// calls of the program under test are replaced at link time (tests/CMakeLists.txt).
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>

namespace gcvit::testing {

/// While it lives, the calls of this thread meet the device that it describes. One at a time.
class Faults {
 public:
  Faults();
  ~Faults();
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;

  /// Bytes that the device takes until it is full: then a write is cut short, and the next one gets `error`.
  std::int64_t capacity = INT64_MAX;
  /// The call that fails with `error`, counted from 0: write, pwrite, fsync and close of what was written, linkat,
  /// rename.
  int failing_call = -1;
  int error = 0;
  /// Writes take no more bytes than this at once, and every other one is interrupted by a signal.
  std::size_t most_bytes = SIZE_MAX;
  /// Whether files without names are refused, as some file systems do.
  bool without_unnamed = false;

  // What happened:
  int calls = 0;
  std::int64_t bytes = 0;
  bool failed = false;

  std::set<int> written;  ///< descriptors
  bool interrupted = false;
};

/// Runs `write`, which writes the file `path`, on devices that fill up after every number of bytes, below every limit
/// of a file's size, and with every call failing. Each time it must end in an `Error` that names the file and the
/// reason, and the folder must be as it was: `path` missing, or the older file unchanged. On a device that only takes
/// less at once it must write the same bytes as ever.
void expect_whole_or_not_at_all(const std::string& path, const std::function<void()>& write);

}  // namespace gcvit::testing
