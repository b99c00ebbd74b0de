// SPDX-License-Identifier: Apache-2.0
// A CSV list of photos, and the same bytes as a list with a path a line.
#include "data/listing.h"
#include "data/sources.h"
#include "fuzz/image_sets.h"
#include "fuzz/target.h"

namespace gcvit::fuzz {
namespace {

void run(const Input& input, Budget&) {
  const MemoryFile file(input.bytes);
  for (const std::string& line : data::read_lines(file.path())) expect(!line.empty(), "a line");
  static const Folder folder;  // with nothing in it
  const bool tabs = input.text().find('\t') != std::string_view::npos;
  check(data::image_set_of_csv(input.text(), folder / (tabs ? "fuzz.tsv" : "fuzz.csv")));
}

void mutate(std::string& input, std::size_t most, Random& random) {
  if (random.one_in(4)) {
    rearrange(input, most, random);
  } else {
    mutate_bytes(input, most);
  }
}

const Registration registration({.name = "csv_fuzz", .run = run, .mutate = mutate});

}  // namespace
}  // namespace gcvit::fuzz
