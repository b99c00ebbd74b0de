// SPDX-License-Identifier: Apache-2.0
// Any bytes as a CSV list, a tar shard, a TFRecord shard and one of its records. The photos that come out lie inside
// their file; only `gcvit::Error` may be thrown. Seeds: tests/data/data.
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/sources.h"
#include "data/tfrecord.h"
#include "gcvit/error.h"

namespace {

using namespace gcvit::data;

void expect(bool holds) {
  if (!holds) std::abort();
}

void check(const PhotoSet& set) {
  for (const Sample& sample : set.samples) {
    expect(sample.label >= 0 && static_cast<std::size_t>(sample.label) < set.classes.size());
  }
  expect(set.validates.empty() || set.validates.size() == set.samples.size());
}

void read_tar_shard(std::span<const std::byte> bytes) {
  const TarBytes pieces = [&](std::uint64_t offset, std::size_t size) {
    expect(offset <= bytes.size() && size <= bytes.size() - offset);
    return bytes.subspan(static_cast<std::size_t>(offset), size);
  };
  PhotoSet set;
  std::vector<std::string> labels;
  std::size_t left_out = 0;
  read_tar_members(bytes.size(), pieces, "fuzz.tar", "fuzz.tar", set, labels, left_out);
  for (const Sample& sample : set.samples) {
    expect(sample.size > 0 && sample.offset <= bytes.size() && sample.size <= bytes.size() - sample.offset);
  }
  if (labels.empty()) return;
  label_samples(set, labels);
  check(set);
}

void read_records(std::span<const std::byte> bytes) {
  static const std::string kPath = "/tmp/gcvit_fuzz_" + std::to_string(::getpid()) + ".tfrecord";
  std::ofstream(kPath, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  const PhotoSet set = read_tfrecord_shards("fuzz", {kPath});
  check(set);
  for (const Sample& sample : set.samples) expect(read_sample(sample).size() == sample.size);
}

template <typename Call>
void attempt(const Call& call) {
  try {
    call();
  } catch (const gcvit::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(data, size));
  attempt([&] { check(photo_set_of_csv({reinterpret_cast<const char*>(data), size}, "fuzz.csv")); });
  attempt([&] { read_tar_shard(bytes); });
  attempt([&] { read_records(bytes); });
  // Behind checksums that hold.
  attempt([&] { read_records(tfrecord_frame(bytes)); });
  return 0;
}
