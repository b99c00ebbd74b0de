// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace gcvit {

/// Writes a file that others see whole or not at all: a temporary beside it, fsync, rename. Without `commit()` the
/// temporary is removed and an older file of that name stays as it was. All errors are thrown as `Error`.
class AtomicFile {
 public:
  /// Opens the temporary. Throws when the folder is missing or not writable, or when `path` exists and is not a
  /// regular file.
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// Overwrites bytes written before, e.g. a header whose contents are known at the end.
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  /// Makes the file visible under its name.
  void commit();

  /// Where the bytes lie until `commit()`, for a library that wants to write by name.
  const std::string& temporary_path() const { return temporary_; }

 private:
  std::string path_;
  std::string temporary_;
  int descriptor_ = -1;
};

}  // namespace gcvit
