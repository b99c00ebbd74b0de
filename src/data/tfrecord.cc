// SPDX-License-Identifier: Apache-2.0
#include "data/tfrecord.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/open_file.h"

namespace gcvit::data {
namespace {

constexpr std::size_t kHeaderBytes = 8 + 4;

/// Remainders of a byte followed by 0 to 7 zero bytes: eight bytes are then taken at once.
using CrcTables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr CrcTables make_crc_tables() {
  CrcTables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t remainder = byte;
    for (int bit = 0; bit < 8; ++bit) remainder = (remainder >> 1) ^ ((remainder & 1) != 0 ? 0x82F63B78u : 0u);
    tables[0][byte] = remainder;
  }
  for (std::size_t zeros = 1; zeros < 8; ++zeros) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[zeros - 1][byte];
      tables[zeros][byte] = (before >> 8) ^ tables[0][before & 255];
    }
  }
  return tables;
}

constexpr CrcTables kCrcTables = make_crc_tables();

template <typename Number>
void put_little_endian(Number number, std::byte* out) {
  for (std::size_t i = 0; i < sizeof(Number); ++i) out[i] = static_cast<std::byte>(number >> (8 * i));
}

template <typename Number>
Number little_endian(const std::byte* bytes) {
  Number number = 0;
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    number = static_cast<Number>(number | static_cast<Number>(std::to_integer<Number>(bytes[i]) << (8 * i)));
  }
  return number;
}

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes) {
  std::uint32_t crc = 0xFFFFFFFFu;
  while (bytes.size() >= 8) {
    const std::uint32_t low = crc ^ little_endian<std::uint32_t>(bytes.data());
    const std::uint32_t high = little_endian<std::uint32_t>(bytes.data() + 4);
    crc = kCrcTables[7][low & 255] ^ kCrcTables[6][(low >> 8) & 255] ^ kCrcTables[5][(low >> 16) & 255] ^
          kCrcTables[4][low >> 24] ^ kCrcTables[3][high & 255] ^ kCrcTables[2][(high >> 8) & 255] ^
          kCrcTables[1][(high >> 16) & 255] ^ kCrcTables[0][high >> 24];
    bytes = bytes.subspan(8);
  }
  for (const std::byte byte : bytes)
    crc = (crc >> 8) ^ kCrcTables[0][(crc ^ std::to_integer<std::uint32_t>(byte)) & 255];
  return ~crc;
}

std::uint32_t masked_crc32c(std::span<const std::byte> bytes) {
  const std::uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

std::vector<std::byte> tfrecord_frame(std::span<const std::byte> record) {
  std::vector<std::byte> frame(kHeaderBytes + record.size() + kTfrecordFooterBytes);
  put_little_endian<std::uint64_t>(record.size(), frame.data());
  put_little_endian(masked_crc32c(std::span(frame).first(8)), frame.data() + 8);
  if (!record.empty()) std::memcpy(frame.data() + kHeaderBytes, record.data(), record.size());
  put_little_endian(masked_crc32c(record), frame.data() + kHeaderBytes + record.size());
  return frame;
}

void check_tfrecord(std::span<const std::byte> record_and_checksum, std::string_view name) {
  const std::size_t size = record_and_checksum.size() - kTfrecordFooterBytes;
  if (little_endian<std::uint32_t>(record_and_checksum.data() + size) !=
      masked_crc32c(record_and_checksum.first(size))) {
    fail("[tfrecord] {}: expected the bytes that their checksum is of, found others", name);
  }
}

TfrecordReader::TfrecordReader(const std::string& path) : path_(path), file_(open_regular_file(path, "tfrecord")) {}

std::span<const std::byte> TfrecordReader::piece(std::uint64_t offset, std::size_t size) {
  const std::uint64_t end = window_offset_ + window_.size();
  if (offset < window_offset_ || offset > end || end - offset < size) {
    window_.resize(kMaxPieceBytes);
    window_.resize(read_at(file_, offset, window_, "tfrecord", path_));
    window_offset_ = offset;
  }
  const std::span<const std::byte> rest = std::span(window_).subspan(static_cast<std::size_t>(offset - window_offset_));
  return rest.first(std::min(size, rest.size()));
}

std::optional<TfrecordReader::Record> TfrecordReader::next() {
  if (position_ == file_.size) return std::nullopt;
  const std::uint64_t start = position_;
  const auto cut_off = [&] { fail("[tfrecord] {}: record at byte {}: ends before its end", path_, start); };
  const std::span<const std::byte> header = piece(start, kHeaderBytes);
  if (header.size() < kHeaderBytes) cut_off();
  const auto length = little_endian<std::uint64_t>(header.data());
  if (little_endian<std::uint32_t>(header.data() + 8) != masked_crc32c(header.first(8))) {
    fail("[tfrecord] {}: record at byte {}: its length has a wrong checksum", path_, start);
  }
  if (length > kMaxRecordBytes) {
    fail("[tfrecord] {}: record at byte {}: expected at most 1 GiB, found {} bytes", path_, start, length);
  }
  const std::uint64_t offset = start + kHeaderBytes;
  if (offset > file_.size || file_.size - offset < length + kTfrecordFooterBytes) cut_off();
  position_ = offset + length + kTfrecordFooterBytes;
  return Record{offset, length};
}

std::vector<std::byte> TfrecordReader::read(const Record& record) const {
  std::vector<std::byte> bytes(static_cast<std::size_t>(record.size) + kTfrecordFooterBytes);
  const std::string place = fmt::format("{}: record at byte {}", path_, record.offset - kHeaderBytes);
  if (read_at(file_, record.offset, bytes, "tfrecord", path_) < bytes.size())
    fail("[tfrecord] {}: ends before its end", place);
  check_tfrecord(bytes, place);
  bytes.resize(static_cast<std::size_t>(record.size));
  return bytes;
}

}  // namespace gcvit::data
