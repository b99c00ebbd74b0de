// SPDX-License-Identifier: Apache-2.0
// A process that soon can't start threads any more. For processes of their own: there is no way back.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <iterator>

namespace gcvit::testing {

/// This process's user may have a few processes and threads, no more. Root, whom no limit holds, becomes someone else.
inline void limit_threads() {
  if (geteuid() == 0 && setresuid(61234, 61234, 61234) != 0) _exit(2);
  const rlimit few = {8, 8};
  if (setrlimit(RLIMIT_NPROC, &few) != 0) _exit(2);
}

/// The threads of this process that `std::thread` could have started, and the first one.
inline std::ptrdiff_t thread_count() {
  const std::filesystem::path tasks = "/proc/self/task";
  return std::distance(std::filesystem::directory_iterator(tasks), {});
}

}  // namespace gcvit::testing
