// SPDX-License-Identifier: Apache-2.0
// What torch.save writes, in both its containers, as .pth, .pt, .bin and .pth.tar files have it:
//   - since 1.6 a ZIP: NAME/data.pkl is the pickle, NAME/data/KEY the bytes of each storage, NAME/byteorder their order;
//   - before, and today on request, a stream: the pickles of a magic number, a version, the system and the object, then a
//     pickled list of storage keys and for each its element count (i64) and its bytes.
// A tensor is a call of torch._utils._rebuild_tensor_v2(storage, offset, size, stride, ...), a storage a persistent id
// ("storage", type, key, location, elements). pickle.h tells what else may stand beside them.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "formats/raw_file.h"
#include "formats/zip_archive.h"

namespace gcvit::formats {

/// True for an archive that torch.save could have written.
bool is_torch_archive(const ZipArchive& archive);
/// Throws `Error`: a TorchScript program is no state dict.
[[noreturn]] void fail_torch_script(const std::string& file);
/// True for the first bytes of the older container.
bool is_torch_stream(std::string_view bytes);

/// Reads the state dict of an archive. What a model is `options.find_models` says. Where the saved object is a dict that holds others, at most three deep, the weights
/// are those of the first of `state_dict`, `model`, `model_state_dict`, `state_dict_ema`, `model_ema` that has a model's
/// (raw weights before averaged ones, as the validation scripts of timm and NVlabs choose unless told otherwise), then of
/// the object itself, then of the only other dict that has them, whatever its key; `options` may ask for one kind. Without a
/// model anywhere, the same of dicts with any tensors. `RawFile::notes` tells which it was and what else was there.
/// Tensors view the file where they are contiguous; others are copied. Bool tensors are u8. All of them together have at
/// most twice the bytes of all storages, and 16 MB: storages may be shared, but not without end.
///
/// Throws `Error` naming tensor or entry when anything is broken, when a tensor leaves its storage or has another dtype
/// than f32, f16, bf16, f64, i64, i32, u8 or bool, for big-endian files, pickled models instead of state dicts, and what
/// the unpickler refuses.
RawFile parse_torch_archive(const ZipArchive& archive, const std::shared_ptr<const void>& owner,
                            const std::string& file, const ReadOptions& options = {});

/// The same of the older container.
RawFile parse_torch_stream(std::span<const std::byte> bytes, const std::shared_ptr<const void>& owner,
                           const std::string& file, const ReadOptions& options = {});

}  // namespace gcvit::formats
