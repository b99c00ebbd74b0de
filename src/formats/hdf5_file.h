// SPDX-License-Identifier: Apache-2.0
// Reading HDF5, the part of it that Keras' weight files are made of. Our own reader, as libhdf5 isn't made for hostile
// files: a fuzzer that changed bytes of a small one made 1.10.8 dereference a null pointer in H5Dread after 13 s, and
// ask for 188 TB after 46 s. It only writes here (keras_file.h).
//
// Read: superblocks 0 to 3 with 8-byte offsets; object headers 1 and 2 with continuations; groups as symbol tables or
// compact links; values in one piece or within the header, of little-endian f16, bf16, f32, f64, u8, i32, i64 and
// Keras' bfloat16 (two opaque bytes with an attribute dtype="bfloat16"). Datasets of other types (text, random states)
// hold no weights and are left out. Refused by name: chunks and compression, external and virtual storage, soft and
// external links, an object that is reached twice, groups of so many links that newer files put them into a heap.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "formats/raw_file.h"

namespace gcvit::formats {

/// The datasets under their paths ("layers/patch_embed/proj/vars/0"), in the order of the file's groups, as views of
/// `bytes`, which `owner` keeps alive; `file` names them in errors. Nothing is allocated by a size that the file
/// claims, and all structures and values together must fit into it, so none can be used twice.
/// Groups near the root and Keras' description of a whole model are kept as well, for keras_layers.h.
RawFile parse_hdf5(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& file);

/// True for bytes that begin as an HDF5 file.
bool is_hdf5(std::string_view bytes);

}  // namespace gcvit::formats
