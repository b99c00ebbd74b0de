// SPDX-License-Identifier: Apache-2.0
#include "data/image_stamp.h"

#include <sys/stat.h>

#include <algorithm>
#include <span>
#include <string_view>

#include "base/error.h"
#include "base/open_file.h"
#include "base/resource_error.h"

namespace gcvit::data {
namespace {

ImageStamp stamp_of(const std::string& file) {
  struct stat status{};
  if (::stat(file.c_str(), &status) != 0) return {};
  constexpr std::uint64_t kNanoseconds = 1'000'000'000;
  // Wraps in the year 2262, which is no harm: times are only compared.
  const auto seconds = static_cast<std::uint64_t>(status.st_mtim.tv_sec);
  const auto rest = static_cast<std::uint64_t>(status.st_mtim.tv_nsec);
  ImageStamp stamp;
  stamp.there = true;
  stamp.size = static_cast<std::uint64_t>(status.st_size);
  stamp.time = static_cast<std::int64_t>(seconds * kNanoseconds + rest);
  return stamp;
}

constexpr std::size_t kPiece = std::size_t{1} << 20;
/// As many of these as there are threads fit any memory.
constexpr std::uint64_t kSmallImage = std::uint64_t{16} << 20;

/// Adds the file's bytes to the hash and returns their number. Throws `Error` like `read_sample`.
std::uint64_t hash_file(const std::string& path, HashScratch& scratch) {
  const RegularFile file = open_regular_file(path, "data");
  // A small file is read in one piece, with its end.
  const auto piece = static_cast<std::size_t>(std::min<std::uint64_t>(file.size + 1, kPiece));
  if (scratch.buffer.size() < piece) scratch.buffer.resize(piece);
  std::uint64_t size = 0;
  while (true) {
    const std::size_t count = read_at(file, size, scratch.buffer, "data", path);
    scratch.hash.update(std::span(scratch.buffer).first(count));
    size += count;
    if (size > kMaxImageBytes) fail("[data] {}: expected at most 1 GiB, found more", path);
    if (count < scratch.buffer.size()) return size;
  }
}

}  // namespace

std::vector<ImageStamp> stamps_of(const ImageSet& set) {
  std::vector<ImageStamp> stamps;
  stamps.reserve(set.samples.size());
  std::string_view last;  // the samples of a shard follow each other
  for (const Sample& sample : set.samples) {
    stamps.push_back(!stamps.empty() && sample.file == last ? stamps.back() : stamp_of(sample.file));
    last = sample.file;
  }
  return stamps;
}

std::string hash_of(const Sample& sample) {
  HashScratch scratch;
  std::uint64_t size = 0;
  return hash_of(sample, scratch, size);
}

std::string hash_of(const Sample& sample, HashScratch& scratch, std::uint64_t& size) {
  size = 0;
  try {
    if (sample.size == 0) {
      size = hash_file(sample.file, scratch);
    } else {
      const auto share = sample.size > kSmallImage ? image::take_file_memory(size_of(sample), {}) : nullptr;
      const std::vector<std::byte> bytes = read_sample(sample);
      size = bytes.size();
      scratch.hash.update(bytes);
    }
  } catch (const ResourceError&) {
    throw;  // no fault of the photo's
  } catch (const Error&) {
    scratch.hash.finish();
    return "";
  }
  return scratch.hash.finish();
}

Change change_of(const Sample& sample, const ImageStamp& before, const ImageStamp& now) {
  if (before.there != now.there) return Change::kChanged;
  if (!now.there || (before.size == now.size && before.time == now.time)) return Change::kNone;
  const bool shard = sample.size > 0;
  if (!shard && before.size != now.size) return Change::kChanged;
  if (!before.sha256.empty()) return hash_of(sample) == before.sha256 ? Change::kNone : Change::kChanged;
  return before.size == now.size ? Change::kUnknown : Change::kChanged;
}

}  // namespace gcvit::data
