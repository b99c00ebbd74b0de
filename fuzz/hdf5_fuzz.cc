// SPDX-License-Identifier: Apache-2.0
// A Keras weight file: HDF5 read, names mapped, config inferred, model loaded. Only `gcvit::Error` may come out. Seeds:
// fuzz/corpus/hdf5_fuzz (a whole model) and tests/data/weights/hdf5.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "gcvit/error.h"
#include "weights/hdf5_file.h"
#include "weights/load.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // A copy of exactly this size, aligned as a mapped file is.
  const std::shared_ptr<std::byte[]> owner(new std::byte[size]);
  if (size > 0) std::memcpy(owner.get(), data, size);
  try {
    gcvit::weights::RawFile raw =
        gcvit::weights::parse_hdf5({static_cast<const std::byte*>(owner.get()), size}, owner, "fuzz");
    (void)gcvit::weights::load_model(std::move(raw), "fuzz");
  } catch (const gcvit::Error&) {
  }
  return 0;
}
