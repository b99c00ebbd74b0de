// SPDX-License-Identifier: Apache-2.0
#include "fuzz/containers.h"

#include <zlib.h>

#include <cstdlib>
#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>

#include "data/tfrecord.h"
#include "gcvit/error.h"
#include "formats/crc32.h"
#include "formats/zip_archive.h"

namespace gcvit::fuzz {
namespace {

using namespace std::string_view_literals;

template <typename Number>
std::optional<Number> number_at(std::string_view text, std::size_t offset) {
  if (offset > text.size() || text.size() - offset < sizeof(Number)) return std::nullopt;
  Number number;
  std::memcpy(&number, text.data() + offset, sizeof(number));
  return number;
}

template <typename Number>
void append(std::string& text, Number number) {
  text.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

template <typename Number>
Number big_endian(Number number) {
  std::reverse(reinterpret_cast<char*>(&number), reinterpret_cast<char*>(&number + 1));
  return number;
}

std::uint32_t crc32_of(std::string_view text) { return formats::crc32(std::as_bytes(std::span(text))); }

// ZIP

std::optional<Parts> split_zip(std::string_view file) {
  try {
    Parts parts;
    const formats::ZipArchive archive(std::as_bytes(std::span(file)), "zip");
    for (const formats::ZipArchive::Entry& entry : archive.entries()) {
      parts.push_back({.name = std::string(entry.name),
                       .bytes = {reinterpret_cast<const char*>(entry.bytes.data()), entry.bytes.size()}});
    }
    return parts;
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::string join_zip(const Parts& parts) {
  constexpr std::size_t kAlignment = 64;
  std::string file;
  std::string directory;
  for (const Part& part : parts) {
    const auto begin = static_cast<std::uint32_t>(file.size());
    const std::string name = part.name.substr(0, 0xffff);
    std::string shared("\x14\0\0\0\0\0\0\0\x21\0"sv);  // version, flags, stored, time, date
    append(shared, crc32_of(part.bytes));
    append(shared, static_cast<std::uint32_t>(part.bytes.size()));
    append(shared, static_cast<std::uint32_t>(part.bytes.size()));
    append(shared, static_cast<std::uint16_t>(name.size()));
    const std::size_t unpadded = begin + 4 + shared.size() + 2 + name.size() + 4;
    const auto padding = static_cast<std::uint16_t>((kAlignment - unpadded % kAlignment) % kAlignment);
    file += "PK\x03\x04" + shared;
    append(file, static_cast<std::uint16_t>(4 + padding));
    file += name + "FB";
    append(file, padding);
    file += std::string(padding, 'Z') + part.bytes;
    directory += "PK\x01\x02\x14\0"sv;
    directory += shared + std::string(12, '\0');
    append(directory, begin);
    directory += name;
  }
  const auto begin = static_cast<std::uint32_t>(file.size());
  file += directory + std::string("PK\x05\x06\0\0\0\0"sv);
  append(file, static_cast<std::uint16_t>(parts.size()));
  append(file, static_cast<std::uint16_t>(parts.size()));
  append(file, static_cast<std::uint32_t>(directory.size()));
  append(file, begin);
  append(file, std::uint16_t{0});
  return file;
}

// safetensors

std::optional<Parts> split_safetensors(std::string_view file) {
  const auto size = number_at<std::uint64_t>(file, 0);
  if (!size || *size > file.size() - 8) return std::nullopt;
  const auto header = static_cast<std::size_t>(*size);
  return Parts{{.name = std::string(file.substr(8, header)), .bytes = std::string(file.substr(8 + header))}};
}

std::string join_safetensors(const Parts& parts) {
  std::string file;
  append(file, std::uint64_t{parts.front().name.size()});
  return file + parts.front().name + parts.front().bytes;
}

std::uint64_t element_size(const nlohmann::ordered_json& dtype) {
  const std::string name = dtype.is_string() ? dtype.get<std::string>() : "";
  if (name == "U8" || name == "I8") return 1;
  if (name == "F16" || name == "BF16") return 2;
  if (name == "F64" || name == "I64") return 8;
  return 4;
}

/// Gives each tensor the bytes that its shape needs, in the order of the header. Left alone when that's more than `most`.
void fit_offsets(Part& file, std::size_t most) {
  nlohmann::ordered_json header = nlohmann::ordered_json::parse(file.name, nullptr, false);
  if (!header.is_object()) return;
  std::uint64_t place = 0;
  for (auto& [name, tensor] : header.items()) {
    if (name == "__metadata__" || !tensor.is_object() || !tensor.contains("shape") || !tensor["shape"].is_array()) {
      continue;
    }
    std::uint64_t size = element_size(tensor.value("dtype", nlohmann::ordered_json()));
    for (const auto& side : tensor["shape"]) size *= side.is_number_integer() ? side.get<std::uint64_t>() : 1;
    if (size > most || place + size > most) return;
    tensor["data_offsets"] = {place, place + size};
    place += size;
  }
  file.name = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  file.bytes.resize(static_cast<std::size_t>(place));
}

// npy

constexpr std::string_view kNpyMagic = "\x93NUMPY"sv;

std::optional<Parts> split_npy(std::string_view file) {
  if (!file.starts_with(kNpyMagic) || file.size() < 12) return std::nullopt;
  const bool wide = file[6] > 1;
  const std::size_t begin = wide ? 12 : 10;
  const std::size_t size = wide ? number_at<std::uint32_t>(file, 8).value_or(0) : *number_at<std::uint16_t>(file, 8);
  if (size > file.size() - begin) return std::nullopt;
  return Parts{{.name = std::string(file.substr(0, 8)), .bytes = ""},
               {.name = "header", .bytes = std::string(file.substr(begin, size))},
               {.name = "values", .bytes = std::string(file.substr(begin + size))}};
}

std::string join_npy(const Parts& parts) {
  std::string file;
  for (const Part& part : parts) {
    if (part.name == "header") {
      if (file.size() > 6 && file[6] > 1) {
        append(file, static_cast<std::uint32_t>(part.bytes.size()));
      } else {
        append(file, static_cast<std::uint16_t>(part.bytes.size()));
      }
    } else if (part.name != "values") {
      file += part.name;
    }
    file += part.bytes;
  }
  return file;
}

// PNG

constexpr std::string_view kPngMagic = "\x89PNG\r\n\x1a\n"sv;
constexpr std::size_t kMostInflated = std::size_t{1} << 20;

std::optional<std::string> inflate_all(std::string_view deflated) {
  std::string text(kMostInflated, '\0');
  uLongf size = text.size();
  if (::uncompress(reinterpret_cast<Bytef*>(text.data()), &size, reinterpret_cast<const Bytef*>(deflated.data()),
                   deflated.size()) != Z_OK) {
    return std::nullopt;
  }
  text.resize(size);
  return text;
}

std::string deflate_all(std::string_view text) {
  uLongf size = ::compressBound(text.size());
  std::string deflated(size, '\0');
  ::compress2(reinterpret_cast<Bytef*>(deflated.data()), &size, reinterpret_cast<const Bytef*>(text.data()),
              text.size(), Z_BEST_SPEED);
  deflated.resize(size);
  return deflated;
}

std::optional<Parts> split_png(std::string_view file) {
  if (!file.starts_with(kPngMagic)) return std::nullopt;
  Parts parts;
  std::string deflated;
  std::size_t first = 0;
  for (std::size_t place = kPngMagic.size(); place < file.size();) {
    const auto size = number_at<std::uint32_t>(file, place);
    if (!size || file.size() - place < 12 || big_endian(*size) > file.size() - place - 12) break;
    const std::string_view type = file.substr(place + 4, 4);
    const std::string_view bytes = file.substr(place + 8, big_endian(*size));
    place += 12 + bytes.size();
    if (type != "IDAT") {
      parts.push_back({.name = std::string(type), .bytes = std::string(bytes)});
      continue;
    }
    if (deflated.empty()) first = parts.size();
    deflated += bytes;
  }
  if (deflated.empty()) return parts;
  const std::optional<std::string> pixels = inflate_all(deflated);
  parts.insert(parts.begin() + static_cast<std::ptrdiff_t>(first),
               {.name = pixels ? "pixels" : "IDAT", .bytes = pixels ? *pixels : deflated});
  return parts;
}

std::string join_png(const Parts& parts) {
  std::string file(kPngMagic);
  for (const Part& part : parts) {
    const bool pixels = part.name == "pixels";
    std::string chunk = pixels ? "IDAT" : (part.name + "    ").substr(0, 4);
    chunk += pixels ? deflate_all(part.bytes) : part.bytes;
    append(file, big_endian(static_cast<std::uint32_t>(chunk.size() - 4)));
    file += chunk;
    append(file, big_endian(crc32_of(chunk)));
  }
  return file;
}

// WebP

std::optional<Parts> split_webp(std::string_view file) {
  if (file.size() < 12 || !file.starts_with("RIFF") || file.substr(8, 4) != "WEBP") return std::nullopt;
  Parts parts;
  for (std::size_t place = 12; place < file.size();) {
    const auto size = number_at<std::uint32_t>(file, place + 4);
    if (!size || *size > file.size() - place - 8) break;
    parts.push_back({.name = std::string(file.substr(place, 4)), .bytes = std::string(file.substr(place + 8, *size))});
    place += 8 + *size + *size % 2;
  }
  return parts;
}

std::string join_webp(const Parts& parts) {
  std::string chunks = "WEBP";
  for (const Part& part : parts) {
    chunks += (part.name + "    ").substr(0, 4);
    append(chunks, static_cast<std::uint32_t>(part.bytes.size()));
    chunks += part.bytes + std::string(part.bytes.size() % 2, '\0');
  }
  std::string file = "RIFF";
  append(file, static_cast<std::uint32_t>(chunks.size()));
  return file + chunks;
}

// JPEG

std::optional<Parts> split_jpeg(std::string_view file) {
  if (!file.starts_with("\xff\xd8")) return std::nullopt;
  Parts parts;
  for (std::size_t place = 2; place + 4 <= file.size() && file[place] == '\xff';) {
    const std::string_view marker = file.substr(place, 2);
    const std::size_t size = big_endian(*number_at<std::uint16_t>(file, place + 2));
    if (marker == "\xff\xd9" || size < 2 || size > file.size() - place - 2) break;
    parts.push_back({.name = std::string(marker), .bytes = std::string(file.substr(place + 4, size - 2))});
    place += 2 + size;
    if (marker != "\xff\xda") continue;
    std::size_t end = place;
    while (end + 1 < file.size()) {
      const auto next = static_cast<unsigned char>(file[end + 1]);
      if (file[end] == '\xff' && next != 0 && !(next >= 0xd0 && next <= 0xd7)) break;
      ++end;
    }
    parts.push_back({.name = "scan", .bytes = std::string(file.substr(place, end - place))});
    place = end;
  }
  return parts;
}

std::string join_jpeg(const Parts& parts) {
  std::string file = "\xff\xd8";
  for (const Part& part : parts) {
    if (part.name != "scan") {
      file += (part.name + "\xff\xff").substr(0, 2);
      append(file, big_endian(static_cast<std::uint16_t>(part.bytes.size() + 2)));
    }
    file += part.bytes;
  }
  return file + "\xff\xd9";
}

// TFRecord

std::optional<Parts> split_tfrecord(std::string_view file) {
  constexpr std::size_t kHead = 12;
  constexpr std::size_t kTail = 4;
  Parts parts;
  for (std::size_t place = 0; place < file.size();) {
    const auto size = number_at<std::uint64_t>(file, place);
    if (!size || file.size() - place < kHead + kTail || *size > file.size() - place - kHead - kTail) break;
    parts.push_back({.name = "", .bytes = std::string(file.substr(place + kHead, static_cast<std::size_t>(*size)))});
    place += kHead + static_cast<std::size_t>(*size) + kTail;
  }
  if (parts.empty()) return std::nullopt;
  return parts;
}

std::string join_tfrecord(const Parts& parts) {
  std::string file;
  for (const Part& part : parts) {
    const std::vector<std::byte> record = data::tfrecord_frame(std::as_bytes(std::span(part.bytes)));
    file.append(reinterpret_cast<const char*>(record.data()), record.size());
  }
  return file;
}

// tar

constexpr std::size_t kTarBlock = 512;
constexpr std::size_t kTarSize = 124;
constexpr std::size_t kTarChecksum = 148;

std::optional<Parts> split_tar(std::string_view file) {
  Parts parts;
  for (std::size_t place = 0; place + kTarBlock <= file.size();) {
    const std::string header(file.substr(place, kTarBlock));
    if (header.find_first_not_of('\0') == std::string::npos) break;
    place += kTarBlock;
    const std::size_t size =
        std::min<std::size_t>(std::strtoul(header.substr(kTarSize, 12).c_str(), nullptr, 8), file.size() - place);
    parts.push_back({.name = header, .bytes = std::string(file.substr(place, size))});
    place = std::min(file.size(), place + (size + kTarBlock - 1) / kTarBlock * kTarBlock);
  }
  if (parts.empty()) return std::nullopt;
  return parts;
}

std::string join_tar(const Parts& parts) {
  std::string file;
  for (const Part& part : parts) {
    std::string header = part.name;
    header.resize(kTarBlock);
    char number[12];
    // A size that was changed on purpose stays.
    if (std::strtoul(header.substr(kTarSize, 12).c_str(), nullptr, 8) < file.size() + part.bytes.size()) {
      std::snprintf(number, sizeof(number), "%011lo", static_cast<unsigned long>(part.bytes.size()));
      header.replace(kTarSize, sizeof(number), number, sizeof(number));
    }
    header.replace(kTarChecksum, 8, 8, ' ');
    unsigned sum = 0;
    for (const char byte : header) sum += static_cast<unsigned char>(byte);
    std::snprintf(number, sizeof(number), "%06o", sum & 0777777u);
    header.replace(kTarChecksum, 7, number, 7);
    file += header + part.bytes + std::string((kTarBlock - part.bytes.size() % kTarBlock) % kTarBlock, '\0');
  }
  return file + std::string(2 * kTarBlock, '\0');
}

}  // namespace

const Format kZip = {split_zip, join_zip};
const Format kSafetensors = {split_safetensors, join_safetensors};
const Format kNpy = {split_npy, join_npy};
const Format kPng = {split_png, join_png};
const Format kWebp = {split_webp, join_webp};
const Format kJpeg = {split_jpeg, join_jpeg};
const Format kTfrecord = {split_tfrecord, join_tfrecord};
const Format kTar = {split_tar, join_tar};

void mutate_parts(std::string& file, const Format& format, std::size_t most, Random& random,
                  const MutatePart& mutate_part) {
  std::optional<Parts> parts = random.one_in(10) ? std::nullopt : format.split(file);
  if (!parts || parts->empty()) {
    mutate_bytes(file, most);
    return;
  }
  const std::size_t room = most > file.size() ? most - file.size() : 0;
  if (random.one_in(6)) {
    rearrange(*parts, parts->size() + 512, random);
  } else {
    Part& part = random.of(*parts);
    if (mutate_part) {
      mutate_part(part, part.bytes.size() + room, random);
    } else if (random.one_in(16)) {
      mutate_bytes(part.name, part.name.size() + 8);
    } else {
      mutate_bytes(part.bytes, part.bytes.size() + room);
    }
  }
  file = format.join(*parts);
}

void mutate_safetensors(std::string& file, std::size_t most, Random& random) {
  std::optional<Parts> parts = random.one_in(16) ? std::nullopt : kSafetensors.split(file);
  if (!parts) {
    mutate_bytes(file, most);
    return;
  }
  Part& part = parts->front();
  if (random.one_in(8)) {
    mutate_bytes(part.bytes, most);
  } else {
    mutate_json(part.name, most, random);
    if (!random.one_in(4)) fit_offsets(part, most);
  }
  file = kSafetensors.join(*parts);
}

}  // namespace gcvit::fuzz
