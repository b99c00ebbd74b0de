// SPDX-License-Identifier: Apache-2.0
// TFRecord, TensorFlow's file of records: each is its length (8 bytes, little-endian), the length's masked CRC-32C, its
// bytes, and their masked CRC-32C.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tensor/append_file.h"
#include "tensor/open_file.h"

namespace gcvit::data {

/// CRC-32C (Castagnoli, reflected 0x82F63B78) of the bytes.
std::uint32_t crc32c(std::span<const std::byte> bytes);
/// As TFRecord stores it: turned right by 15 bits, plus a constant, so that a CRC over CRCs stays a good one.
std::uint32_t masked_crc32c(std::span<const std::byte> bytes);

/// The bytes of one record with its length and checksums.
std::vector<std::byte> tfrecord_frame(std::span<const std::byte> record);

/// Reads a file's records one after the other.
class TfrecordReader {
 public:
  /// Records longer than this are refused before memory for them is asked for; so are those that the file hasn't room
  /// for.
  static constexpr std::uint64_t kMaxRecordBytes = std::uint64_t{1} << 30;

  /// Throws `Error` when the file can't be read.
  explicit TfrecordReader(const std::string& path);

  struct Record {
    std::uint64_t offset = 0;  ///< where its bytes begin in the file
    std::span<const std::byte> bytes;  ///< valid until the next call
  };

  /// The next record; nothing at the end. Throws `Error` for a record that is cut off or has a wrong checksum.
  std::optional<Record> next();

 private:
  bool read(std::span<std::byte> bytes);

  std::string path_;
  RegularFile file_;
  std::uint64_t position_ = 0;
  std::vector<std::byte> record_;
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
