// SPDX-License-Identifier: Apache-2.0
// A TFRecord shard of labelled photos.
#include "data/sources.h"
#include "data/tfrecord.h"
#include "fuzz/containers.h"
#include "fuzz/image_sets.h"
#include "fuzz/target.h"
#include "base/error.h"

namespace gcvit::fuzz {
namespace {

void run(const Input& input, Budget&) {
  static const Folder folder;
  const data::ImageSet set =
      data::read_tfrecord_shards("fuzz", {{folder.write("fuzz.tfrecord", input.text()), "fuzz.tfrecord"}});
  check(set);
  for (const data::Sample& sample : set.samples) {
    expect(sample.size > 0 && sample.offset >= sample.record_offset &&
               sample.offset + sample.size <= sample.record_offset + sample.record_size,
           "a photo in its record");
    try {
      expect(data::read_sample(sample).size() == sample.size, "a photo's bytes");
    } catch (const Error&) {
      // Its record has a wrong checksum, which nobody has looked at before.
    }
  }
}

void mutate(std::string& input, std::size_t most, Random& random) {
  mutate_parts(input, kTfrecord, most, random,
               [](Part& part, std::size_t room, Random& by) { mutate_protobuf(part.bytes, room, by); });
}

const Registration registration({.name = "tfrecord_fuzz", .run = run, .mutate = mutate});

}  // namespace
}  // namespace gcvit::fuzz
