// SPDX-License-Identifier: Apache-2.0
// What every reader of a weight file returns and every writer takes: named tensors as the file has them. Layouts,
// configurations and models come later (names.h, infer_config.h, load.h).
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace gcvit::weights {

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

struct RawFile {
  std::string format;  ///< "safetensors", "pytorch"
  std::vector<NamedTensor> tensors;
  std::map<std::string, std::string> metadata;
  std::vector<std::string> notes = {};  ///< what a person should know about how the file was read
};

/// So many tensors a file may have, more than any GCViT: what is kept of each beside its values stays below 32 MB.
inline constexpr std::size_t kMostTensors = 65536;
/// Throws `Error` when there are more.
void check_tensor_count(std::size_t count, const std::string& file);

/// Reads a weight file of any format that has a reader, told apart by its first bytes; a .json file, or a folder that
/// holds one of the usual name, is the index of a sharded .safetensors. Tensors view the mapped file
/// where the format allows it. Throws `Error` when the file is missing, a directory, empty, of no known format or
/// broken.
RawFile read_raw_file(const std::string& path);

}  // namespace gcvit::weights
