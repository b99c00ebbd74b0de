// SPDX-License-Identifier: Apache-2.0
// A ZIP whose entries are stored as they are, as .pth, .npz and .keras files have them: each entry is a view of the
// archive's bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gcvit::formats {

class ZipArchive {
 public:
  struct Entry {
    std::string_view name;
    std::span<const std::byte> bytes;
    std::uint32_t crc = 0;  ///< as the directory has it; torch.save can be told to leave it wrong
  };

  /// Reads the directory; `file` names the archive in errors. Everything views `bytes`, which must outlive this.
  /// Throws `Error` naming the entry when the directory is broken, when an entry is compressed or encrypted, leaves the
  /// file or overlaps another, when two have one name, or when its local header tells another name. Memory grows with
  /// the directory that is there, never with a number that the file claims.
  ZipArchive(std::span<const std::byte> bytes, const std::string& file);

  /// In the byte order of their names.
  const std::vector<Entry>& entries() const { return entries_; }
  /// nullptr when there is none of this name.
  const Entry* find(std::string_view name) const;

 private:
  std::vector<Entry> entries_;
};

/// True for bytes that begin as a ZIP with at least one entry.
bool is_zip(std::string_view bytes);

/// Throws `Error` unless the entry's bytes have the CRC that the directory gives.
void check_crc(const ZipArchive::Entry& entry, const std::string& file);

}  // namespace gcvit::formats
