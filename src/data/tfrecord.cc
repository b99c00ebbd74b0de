// SPDX-License-Identifier: Apache-2.0
#include "data/tfrecord.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "tensor/error.h"
#include "tensor/open_file.h"

namespace gcvit::data {
namespace {

constexpr std::size_t kHeaderBytes = 8 + 4;
constexpr std::size_t kFooterBytes = 4;

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
  std::vector<std::byte> frame(kHeaderBytes + record.size() + kFooterBytes);
  put_little_endian<std::uint64_t>(record.size(), frame.data());
  put_little_endian(masked_crc32c(std::span(frame).first(8)), frame.data() + 8);
  if (!record.empty()) std::memcpy(frame.data() + kHeaderBytes, record.data(), record.size());
  put_little_endian(masked_crc32c(record), frame.data() + kHeaderBytes + record.size());
  return frame;
}

TfrecordReader::TfrecordReader(const std::string& path) : path_(path), file_(open_regular_file(path, "tfrecord")) {}

bool TfrecordReader::read(std::span<std::byte> bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t count = ::pread(file_.descriptor.number(), bytes.data() + done, bytes.size() - done,
                                  static_cast<off_t>(position_ + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_to_read("tfrecord", fmt::format("{}: byte {}", path_, position_), errno);
    if (count == 0) return false;
    done += static_cast<std::size_t>(count);
  }
  position_ += bytes.size();
  return true;
}

std::optional<TfrecordReader::Record> TfrecordReader::next() {
  if (position_ == file_.size) return std::nullopt;
  const std::uint64_t start = position_;
  const auto cut_off = [&] { fail("[tfrecord] {}: record at byte {}: ends before its end", path_, start); };
  std::array<std::byte, kHeaderBytes> header;
  if (file_.size - position_ < kHeaderBytes || !read(header)) cut_off();
  const auto length = little_endian<std::uint64_t>(header.data());
  if (little_endian<std::uint32_t>(header.data() + 8) != masked_crc32c(std::span(header).first(8))) {
    fail("[tfrecord] {}: record at byte {}: its length has a wrong checksum", path_, start);
  }
  if (length > kMaxRecordBytes) {
    fail("[tfrecord] {}: record at byte {}: expected at most 1 GiB, found {} bytes", path_, start, length);
  }
  if (file_.size - position_ < length + kFooterBytes) cut_off();
  record_.resize(static_cast<std::size_t>(length) + kFooterBytes);
  const std::uint64_t offset = position_;
  if (!read(record_)) cut_off();
  const auto bytes = std::span<const std::byte>(record_).first(static_cast<std::size_t>(length));
  if (little_endian<std::uint32_t>(record_.data() + length) != masked_crc32c(bytes)) {
    fail("[tfrecord] {}: record at byte {}: its bytes have a wrong checksum", path_, start);
  }
  return Record{offset, bytes};
}

}  // namespace gcvit::data
