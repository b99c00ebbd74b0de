// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/cgroup.h"

namespace gcvit {

/// The bytes of memory that this process may use at most: the least of the machine's memory, the limits of its control
/// groups (v1 or v2, up to the root) and its resource limits. What other processes use at the moment doesn't count.
std::uint64_t available_memory();

/// The least memory limit of this process's control groups, in bytes; the largest number when none sets one.
std::uint64_t cgroup_memory_limit(const CgroupFiles& files = {});

/// The lower of the soft limits RLIMIT_AS and RLIMIT_DATA (`ulimit -v`, `ulimit -d`), in bytes; the largest number when
/// neither is set. Allocates nothing.
std::uint64_t resource_memory_limit();

/// What a program takes at most unless it is told otherwise: three quarters of `available_memory()`.
std::uint64_t default_memory_limit();

/// "17.3 GiB", "640 MiB".
std::string memory_text(std::uint64_t bytes);

/// Throws `Error` when `needed` bytes are more than `allowed`, 0 for `default_memory_limit()`. `what` is what needs them,
/// the sentence's beginning: "m.safetensors: its 11,995,428 parameters".
void check_memory(double needed, std::uint64_t allowed, std::string_view what);

}  // namespace gcvit
