// SPDX-License-Identifier: Apache-2.0
// How every file is written: what the system says on the way becomes one sentence with the file's name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace gcvit {

/// Throws `Error` "[file] path: can't be written: REASON" for the reason in errno.
[[noreturn]] void fail_to_write(const std::string& path);

/// Writes all bytes where the descriptor stands, in as many pieces as the system takes. Throws `Error`, which names
/// `path`, when it doesn't take them all: a full disk, a quota, a limit of the file's size, a device that fails.
void write_all(int descriptor, std::span<const std::byte> bytes, const std::string& path);

/// The same from byte `offset` of the file on. Where the descriptor stands doesn't change.
void write_all_at(int descriptor, std::uint64_t offset, std::span<const std::byte> bytes, const std::string& path);

/// Waits until the device has what was written: some file systems find only then that they can't keep it. Throws
/// `Error`, which names `path`.
void sync_file(int descriptor, const std::string& path);

}  // namespace gcvit
