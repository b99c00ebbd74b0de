// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/atomic_file.h"

namespace gcvit::formats {

enum class ZipStyle : std::uint8_t {
  /// As torch.save writes it: the data of each entry begin at a multiple of 64 bytes, so that tensors can be viewed in the
  /// mapped file.
  kAligned,
  /// As ZIP programs write it on Unix: no extra fields, entries are regular files that all may read and write.
  kPlain,
};

/// Writes a ZIP of stored entries. No times are recorded. Up to 4 GB and 65534 entries; beyond, `Error`.
class ZipWriter {
 public:
  ZipWriter(const std::string& path, ZipStyle style) : path_(path), style_(style), file_(path) {}

  /// Appends an entry whose data are those of `pieces`, one behind the other. The caller makes sure that no name comes twice.
  void add(std::string_view name, std::initializer_list<std::span<const std::byte>> pieces);
  void add(std::string_view name, std::span<const std::byte> bytes) { add(name, {bytes}); }
  void add(std::string_view name, std::string_view text) { add(name, std::as_bytes(std::span(text))); }
  /// Writes the directory and makes the file visible.
  void finish();

 private:
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }

  std::string path_;
  ZipStyle style_;
  AtomicFile file_;
  std::uint64_t place_ = 0;
  std::size_t entries_ = 0;
  std::string directory_;
};

}  // namespace gcvit::formats
