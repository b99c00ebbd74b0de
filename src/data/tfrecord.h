// SPDX-License-Identifier: Apache-2.0
// TFRecord, TensorFlow's file of records: each is its length (8 bytes, little-endian), the length's masked CRC-32C, its
// bytes, and their masked CRC-32C.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/append_file.h"
#include "base/open_file.h"

namespace gcvit::data {

/// CRC-32C (Castagnoli, reflected 0x82F63B78) of the bytes.
std::uint32_t crc32c(std::span<const std::byte> bytes);
/// As TFRecord stores it: turned right by 15 bits, plus a constant, so that a CRC over CRCs stays a good one.
std::uint32_t masked_crc32c(std::span<const std::byte> bytes);

/// The bytes of one record with its length and checksums.
std::vector<std::byte> tfrecord_frame(std::span<const std::byte> record);

/// Of the checksum behind a record.
inline constexpr std::size_t kTfrecordFooterBytes = 4;

/// Throws `Error` unless the checksum in the last four of the bytes is that of the record before it; `name` stands for
/// it in the error.
void check_tfrecord(std::span<const std::byte> record_and_checksum, std::string_view name);

/// Finds a file's records one after the other, without reading them: of each its length alone is checked.
class TfrecordReader {
 public:
  /// Records longer than this are refused before memory for them is asked for; so are those that the file hasn't room
  /// for.
  static constexpr std::uint64_t kMaxRecordBytes = std::uint64_t{1} << 30;
  /// Of a piece.
  static constexpr std::size_t kMaxPieceBytes = std::size_t{1} << 12;

  /// Throws `Error` when the file can't be read.
  explicit TfrecordReader(const std::string& path);

  struct Record {
    std::uint64_t offset = 0;  ///< where its bytes begin in the file
    std::uint64_t size = 0;
  };

  /// The next record; nothing at the end. Throws `Error` for a record that is cut off or whose length has a wrong
  /// checksum.
  std::optional<Record> next();

  /// The bytes of a record. Throws `Error` when their checksum is wrong.
  std::vector<std::byte> read(const Record& record) const;

  /// Up to `size` bytes from `offset` on, at most kMaxPieceBytes; valid until the next call of this or of `next`. Fewer
  /// at the file's end.
  std::span<const std::byte> piece(std::uint64_t offset, std::size_t size);

 private:
  std::string path_;
  RegularFile file_;
  std::uint64_t position_ = 0;
  std::vector<std::byte> window_;  ///< what was read last
  std::uint64_t window_offset_ = 0;
};

/// Appends records to a file; a record is in the file when `append` returns. All errors are thrown as `Error`.
class TfrecordWriter {
 public:
  /// Creates the file, or goes on at the end of the one that is there.
  explicit TfrecordWriter(const std::string& path) : file_(path) {}

  /// A record that can't be written whole isn't there.
  void append(std::span<const std::byte> record) { file_.append(tfrecord_frame(record)); }
  /// Makes what was appended survive a loss of power.
  void sync() { file_.sync(); }

 private:
  AppendFile file_;
};

}  // namespace gcvit::data
