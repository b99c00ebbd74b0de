// SPDX-License-Identifier: Apache-2.0
// A process that soon can't start threads any more. For processes of their own: there is no way back.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <thread>

namespace gcvit::testing {

/// This process's user may have a few processes and threads, no more. Root, whom no limit holds, becomes someone else.
inline void limit_threads() {
  std::thread([] {}).join();  // with the first one ThreadSanitizer starts one of its own, which stays
  if (geteuid() == 0 && setresuid(61234, 61234, 61234) != 0) _exit(2);
  const rlimit few = {8, 8};
  if (setrlimit(RLIMIT_NPROC, &few) != 0) _exit(2);
}

/// The threads of this process.
inline std::ptrdiff_t thread_count() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"), std::filesystem::directory_iterator());
}

/// Whether there are soon no more than `count`: one that has been joined may still be on its way out of the system's list.
inline bool thread_count_falls_to(std::ptrdiff_t count) {
  for (int tries = 0; tries < 500 && thread_count() > count; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return thread_count() <= count;
}

}  // namespace gcvit::testing
