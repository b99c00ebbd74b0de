// SPDX-License-Identifier: Apache-2.0
#include "data/photo_stamp.h"

#include <sys/stat.h>

#include <string_view>

#include "tensor/error.h"
#include "tensor/resource_error.h"

namespace gcvit::data {
namespace {

PhotoStamp stamp_of(const std::string& file) {
  struct stat status{};
  if (::stat(file.c_str(), &status) != 0) return {};
  constexpr std::uint64_t kNanoseconds = 1'000'000'000;
  // Wraps in the year 2262, which is no harm: times are only compared.
  const auto seconds = static_cast<std::uint64_t>(status.st_mtim.tv_sec);
  const auto rest = static_cast<std::uint64_t>(status.st_mtim.tv_nsec);
  PhotoStamp stamp;
  stamp.there = true;
  stamp.size = static_cast<std::uint64_t>(status.st_size);
  stamp.time = static_cast<std::int64_t>(seconds * kNanoseconds + rest);
  return stamp;
}

}  // namespace

std::vector<PhotoStamp> stamps_of(const PhotoSet& set) {
  std::vector<PhotoStamp> stamps;
  stamps.reserve(set.samples.size());
  std::string_view last;  // the samples of a shard follow each other
  for (const Sample& sample : set.samples) {
    stamps.push_back(!stamps.empty() && sample.file == last ? stamps.back() : stamp_of(sample.file));
    last = sample.file;
  }
  return stamps;
}

std::string hash_of(const Sample& sample) {
  Sha256 hash;
  return hash_of(sample, hash);
}

std::string hash_of(const Sample& sample, Sha256& hash, std::uint64_t* size) {
  try {
    const std::vector<std::byte> bytes = read_sample(sample);
    if (size != nullptr) *size = bytes.size();
    hash.update(bytes);
  } catch (const ResourceError&) {
    throw;  // no fault of the photo's
  } catch (const Error&) {
    return "";
  }
  return hash.finish();
}

Change change_of(const Sample& sample, const PhotoStamp& before, const PhotoStamp& now) {
  if (before.there != now.there) return Change::kChanged;
  if (!now.there || (before.size == now.size && before.time == now.time)) return Change::kNone;
  const bool shard = sample.size > 0;
  if (!shard && before.size != now.size) return Change::kChanged;
  if (!before.sha256.empty()) return hash_of(sample) == before.sha256 ? Change::kNone : Change::kChanged;
  return before.size == now.size ? Change::kUnknown : Change::kChanged;
}

}  // namespace gcvit::data
