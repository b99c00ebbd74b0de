// SPDX-License-Identifier: Apache-2.0
// A Keras weight file, as it is or in a .keras archive: HDF5 read, names mapped, config inferred, model loaded.
#include <cstring>
#include <span>

#include "fuzz/containers.h"
#include "fuzz/models.h"
#include "fuzz/target.h"
#include "formats/hdf5_file.h"
#include "formats/zip_archive.h"

namespace gcvit::fuzz {
namespace {

void run(const Input& input, Budget& budget) {
  std::span<const std::byte> bytes = input.bytes;
  if (formats::is_zip(input.text())) {
    const formats::ZipArchive archive(input.bytes, "fuzz");
    if (archive.entries().empty()) return;
    bytes = archive.entries().front().bytes;
  }
  (void)load(formats::parse_hdf5(bytes, input.owner, "fuzz"), budget);
}

/// Mostly numbers: an address becomes another, a length one that's hard.
void mutate_hdf5(std::string& input, std::size_t most, Random& random) {
  constexpr std::size_t kStep = 4;
  constexpr std::size_t kWidth = 8;
  if (input.size() < 2 * kWidth || random.one_in(2)) {
    mutate_bytes(input, most);
    return;
  }
  const auto place = [&] { return random.below((input.size() - kWidth) / kStep + 1) * kStep; };
  std::uint64_t number = 0;
  switch (random.below(3)) {
    case 0: std::memcpy(&number, input.data() + place(), kWidth); break;
    case 1: number = place(); break;
    default: number = static_cast<std::uint64_t>(telling_number(random));
  }
  const std::size_t width = random.one_in(4) ? 2 : kWidth;
  std::memcpy(input.data() + place(), &number, width);
}

void mutate(std::string& input, std::size_t most, Random& random) {
  if (!formats::is_zip(input)) return mutate_hdf5(input, most, random);
  mutate_parts(input, kZip, most, random,
               [](Part& part, std::size_t room, Random& by) { mutate_hdf5(part.bytes, room, by); });
}

const Registration registration({.name = "hdf5_fuzz", .run = run, .mutate = mutate});

}  // namespace
}  // namespace gcvit::fuzz
