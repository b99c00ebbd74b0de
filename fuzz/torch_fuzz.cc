// SPDX-License-Identifier: Apache-2.0
// A file of torch.save's from anywhere, in either container: archive, unpickler, tensors, then through to a model.
#include "fuzz/containers.h"
#include "fuzz/models.h"
#include "fuzz/target.h"
#include "formats/torch_file.h"
#include "weights/wrapped_models.h"

namespace gcvit::fuzz {
namespace {

/// Of the older container, which has its storages behind them.
constexpr std::size_t kPicklesOfStream = 5;

void run(const Input& input, Budget& budget) {
  const formats::ReadOptions options = weights::read_options();
  formats::RawFile raw =
      formats::is_torch_stream(input.text())
          ? formats::parse_torch_stream(input.bytes, input.owner, "fuzz", options)
          : formats::parse_torch_archive(formats::ZipArchive(input.bytes, "fuzz"), input.owner, "fuzz", options);
  (void)load(std::move(raw), budget);
}

void mutate_part(Part& part, std::size_t most, Random& random) {
  if (part.name.ends_with(".pkl")) {
    mutate_pickle(part.bytes, 1, most, random);
  } else if (random.one_in(4)) {
    part.bytes.resize(random.below(most + 1));
  } else {
    mutate_bytes(part.bytes, most);
  }
}

void mutate(std::string& input, std::size_t most, Random& random) {
  if (formats::is_torch_stream(input)) {
    mutate_pickle(input, kPicklesOfStream, most, random);
  } else {
    // The pickle is one part of many, and the one that matters.
    mutate_parts(input, kZip, most, random,
                 [](Part& part, std::size_t room, Random& by) { mutate_part(part, room, by); });
  }
}

const Registration registration({.name = "torch_fuzz", .run = run, .mutate = mutate});

}  // namespace
}  // namespace gcvit::fuzz
