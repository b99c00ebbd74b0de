// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/atomic_file.h"

namespace gcvit::weights {

/// Writes a ZIP of stored entries whose data begin at multiples of 64 bytes, as torch.save does: tensors can be viewed
/// in the mapped file. No times are recorded. Up to 4 GB and 65534 entries; beyond, `Error`.
class ZipWriter {
 public:
  explicit ZipWriter(const std::string& path) : path_(path), file_(path) {}

  /// Appends an entry; names are the caller's to keep apart.
  void add(std::string_view name, std::span<const std::byte> bytes);
  void add(std::string_view name, std::string_view text) { add(name, std::as_bytes(std::span(text))); }
  /// Writes the directory and makes the file visible.
  void finish();

 private:
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }

  std::string path_;
  AtomicFile file_;
  std::uint64_t place_ = 0;
  std::size_t entries_ = 0;
  std::string directory_;
};

}  // namespace gcvit::weights
