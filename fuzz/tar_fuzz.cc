// SPDX-License-Identifier: Apache-2.0
// A WebDataset shard: the photos that come out lie inside of it.
#include <string>
#include <vector>

#include "data/sources.h"
#include "fuzz/containers.h"
#include "fuzz/image_sets.h"
#include "fuzz/target.h"

namespace gcvit::fuzz {
namespace {

void run(const Input& input, Budget&) {
  const std::span<const std::byte> bytes = input.bytes;
  const data::TarBytes pieces = [&](std::uint64_t offset, std::size_t size) {
    expect(offset <= bytes.size() && size <= bytes.size() - offset, "bytes of the archive");
    return bytes.subspan(static_cast<std::size_t>(offset), size);
  };
  data::ImageSet set;
  std::vector<std::string> labels;
  data::OtherTarMembers rest;
  data::read_tar_members(bytes.size(), pieces, "fuzz.tar", "fuzz.tar", set, labels, rest);
  expect(labels.size() == set.samples.size(), "a label for each photo");
  for (const data::Sample& sample : set.samples) {
    expect(sample.size > 0 && sample.offset <= bytes.size() && sample.size <= bytes.size() - sample.offset,
           "a photo in the archive");
  }
  if (labels.empty()) return;
  data::label_samples(set, labels);
  check(set);
}

void mutate(std::string& input, std::size_t most, Random& random) {
  mutate_parts(input, kTar, most, random, [](Part& part, std::size_t room, Random& by) {
    if (by.one_in(2)) {
      mutate_bytes(part.name, part.name.size());
    } else {
      mutate_bytes(part.bytes, room);
    }
  });
}

const Registration registration({.name = "tar_fuzz", .run = run, .mutate = mutate});

}  // namespace
}  // namespace gcvit::fuzz
