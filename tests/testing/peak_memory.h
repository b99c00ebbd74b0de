// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <string>

#include "base/error.h"

namespace gcvit::testing {

/// A line of /proc/self/status in bytes.
inline std::uint64_t process_status(const std::string& key) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key + ":")) return std::stoull(line.substr(key.size() + 1)) * 1024;
  }
  return 0;
}

/// Bytes that `work` takes at its peak beside what was there, whether it succeeds or ends in an `Error`, measured in a
/// process of its own. Sanitizers keep shadows of all memory: their builds must leave such tests out.
template <typename Work>
std::uint64_t peak_memory_of(const Work& work) {
  // What others let go must not lie about, where the work would take it for nothing.
  mallopt(M_MMAP_THRESHOLD, 1 << 17);
  malloc_trim(0);
  int ends[2] = {-1, -1};
  if (pipe(ends) != 0) return 0;
  const pid_t child = fork();
  if (child == 0) {
    const std::uint64_t before = process_status("VmRSS");
    try {
      work();
    } catch (const Error&) {
      // What it took till then counts.
    }
    const std::uint64_t peak = process_status("VmHWM") - before;
    const bool told = write(ends[1], &peak, sizeof peak) == sizeof peak;
    _exit(told ? 0 : 1);
  }
  close(ends[1]);
  std::uint64_t peak = 0;
  if (read(ends[0], &peak, sizeof peak) != sizeof peak) peak = 0;
  close(ends[0]);
  int state = 0;
  waitpid(child, &state, 0);
  return peak;
}

}  // namespace gcvit::testing
