// SPDX-License-Identifier: Apache-2.0
#include "image/decode.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include "image/decoders.h"
#include "base/error.h"
#include "base/file_kind.h"
#include "base/open_file.h"

namespace gcvit::image {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 30;

bool starts_with(std::span<const std::byte> bytes, std::size_t offset, std::string_view text) {
  return bytes.size() >= offset + text.size() && std::memcmp(bytes.data() + offset, text.data(), text.size()) == 0;
}

/// What a file is that we don't read, so that the sentence helps.
std::string other_format(std::span<const std::byte> bytes) {
  if (std::string kind = file_kind(bytes); !kind.empty()) return kind;
  std::string found = "bytes";
  for (std::byte byte : bytes.first(std::min<std::size_t>(bytes.size(), 8))) {
    found += fmt::format(" {:02x}", std::to_integer<unsigned>(byte));
  }
  return found;
}

}  // namespace

void check(const Image& image) {
  if (image.width < 1 || image.height < 1 || image.width > kMaxSide || image.height > kMaxSide) {
    fail(ErrorCode::kInvalidArgument, "[image] size: expected sides of 1 to {} pixels, found {} x {}", kMaxSide,
         image.width, image.height);
  }
  const std::size_t bytes = static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height) * 3;
  if (image.pixels.size() != bytes)
    fail(ErrorCode::kInvalidArgument, "[image] pixels: expected {} bytes, found {}", bytes, image.pixels.size());
}

void check_size(const Header& header, const Source& source) {
  const auto [format, width, height] = header;
  if (width < 1 || height < 1 || width > kMaxSide || height > kMaxSide) {
    fail("[{}] {}: size: expected sides of 1 to {} pixels, found {} x {}", format, source.name, kMaxSide, width,
         height);
  }
  if (width * height > source.options.max_pixels) {
    fail(ErrorCode::kOutOfBudget, "[{}] {}: size: expected at most {} pixels (--max-pixels), found {} x {}", format,
         source.name, source.options.max_pixels, width, height);
  }
}

std::shared_ptr<DecodeMemory::Share> take_memory(std::uint64_t bytes, const Header& header, const Source& source) {
  const std::uint64_t limit = DecodeMemory::share_of(source.options.max_memory);
  const std::uint64_t needed = bytes + source.bytes.size();
  if (needed > limit) {
    fail(ErrorCode::kOutOfBudget,
         "[{}] {}: memory: expected a picture that needs at most {} bytes (a third of --max-memory), found {} x {} "
         "pixels that need "
         "{}",
         header.format, source.name, limit, header.width, header.height, needed);
  }
  return DecodeMemory::of_process().take(needed, limit);
}

Image without_rows(std::uint64_t width, std::uint64_t height) {
  Image image{static_cast<std::int32_t>(width), static_cast<std::int32_t>(height), {}};
  image.pixels.reserve(static_cast<std::size_t>(rgb_bytes(width, height)));
  return image;
}

Image decode(std::span<const std::byte> bytes, std::string_view name, const DecodeOptions& options) {
  return decode_reduced(bytes, name, options, nullptr);
}

Image decode_reduced(std::span<const std::byte> bytes, std::string_view name, const DecodeOptions& options,
                     const ChooseReduction& choose) {
  const Source source{bytes, name, options};
  Decoded decoded;
  try {
    if (bytes.empty()) {
      fail("[image] {}: expected a picture, found an empty file", name);
    } else if (starts_with(bytes, 0, "\xff\xd8\xff")) {
      decoded = decode_jpeg(source, choose);
    } else if (starts_with(bytes, 0, "\x89PNG\r\n\x1a\n")) {
      decoded = decode_png(source);
    } else if (starts_with(bytes, 0, "RIFF") && starts_with(bytes, 8, "WEBP")) {
      decoded = decode_webp(source);
    } else {
      fail("[image] {}: expected JPEG, PNG or WebP, found {}", name, other_format(bytes));
    }
    if (options.apply_exif) decoded.image = turn_upright(std::move(decoded.image), decoded.orientation);
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::kOutOfBudget, "[image] {}: expected memory to decode it, found none", name);
  }
  Image image = std::move(decoded.image);
  decoded.share->shrink(image.pixels.size());
  image.share = std::move(decoded.share);
  if (choose && !decoded.chosen) choose(image.height, image.width);
  return image;
}

std::shared_ptr<const void> take_file_memory(std::uint64_t bytes, const DecodeOptions& options) {
  const std::uint64_t limit = std::min<std::uint64_t>(DecodeMemory::share_of(options.max_memory), kMaxFileBytes);
  // What is larger will be refused, and comes alone till then.
  return DecodeMemory::of_files().take(std::min(bytes, limit), limit);
}

Image read_image(const std::filesystem::path& path, const DecodeOptions& options) {
  const std::string name = path.string();
  std::error_code error;
  const std::uint64_t size = std::filesystem::file_size(path, error);
  const auto share = take_file_memory(error ? 0 : size, options);
  return decode(read_regular_file(name, "image", kMaxFileBytes), name, options);
}

}  // namespace gcvit::image
