// SPDX-License-Identifier: Apache-2.0
// What every reader of a weight file returns and every writer takes: named tensors as the file has them. Layouts,
// configurations and models come later (weights/).
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor.h"
#include "formats/mapped_file.h"

namespace gcvit::formats {

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

/// Weights of a model in a file that may hold several.
struct StoredWeights {
  std::string place;      ///< for sentences: "\"state_dict_ema\"", "\"state_dict\" > \"model.\""
  bool averaged = false;  ///< averages over training (EMA, SWA), not what the last step left
};

struct RawFile {
  std::string format;  ///< "safetensors", "pytorch"
  std::vector<NamedTensor> tensors;
  std::map<std::string, std::string> metadata;
  std::vector<std::string> notes = {};  ///< what a person should know about how the file was read
  std::vector<std::string> notices = {};  ///< sentences that a person should see even without asking
  std::string place =
      {};  ///< where in the file the tensors stand, as StoredWeights has it; empty when it has no others
  bool averaged = false;
  std::vector<StoredWeights> others = {};  ///< what else the file holds
  std::string nameless = {};  ///< where it holds averages as a list without names, which are not read; empty for none
  std::string prefix = {};  ///< what stood before the tensors' names
  std::vector<std::string> groups = {};  ///< of an HDF5 file, those near its root: Keras' layers
  std::string keras_config = {};  ///< JSON of a whole Keras model, unless it is over kMaximalKerasConfig
  std::string file = {};  ///< the file that was read, which a folder's name stands for
  std::string config = {};  ///< a config.json beside it; empty when there is none
  bool folder = false;  ///< both were found by their folder's name
  std::vector<std::shared_ptr<const MappedFile>> mappings = {};  ///< files that tensors view
};

inline constexpr std::size_t kMaximalKerasConfig = std::size_t{1} << 20;

/// A model among the tensors of a file: its tensors' names all begin with `prefix`, as "", "model.", "params/".
struct WrappedModel {
  std::string prefix;
  /// Its weights are averages over training: a word of the prefix says so ("ema", "swa", "averaged", ...), or the count
  /// that torch's AveragedModel keeps is stored with it.
  bool averaged = false;
};

/// So many models are looked for in a file.
inline constexpr std::size_t kMostModels = 64;

struct ReadOptions {
  /// Of a training checkpoint that holds both: the averaged weights (EMA) or the raw ones. Without it those of the first
  /// usual key that has a model (torch_file.h), else raw ones before averaged ones. What is wanted and missing shows
  /// in `RawFile::averaged`.
  std::optional<bool> averaged = {};
  /// The models of the wanted kind among tensors of these names, at most `kMostModels`: a checkpoint's dicts that have one are
  /// chosen before others. Without it no dict is known to have one.
  std::function<std::vector<WrappedModel>(std::span<const std::string_view> names)> find_models = {};
};

/// So many tensors a file may have, more than any model needs: what is kept of each beside its values stays below 32 MB.
inline constexpr std::size_t kMostTensors = 65536;
/// Throws `Error` when there are more.
void check_tensor_count(std::size_t count, const std::string& file);

/// Reads a weight file of any format that has a reader, told apart by its first bytes; a .json file is the index of
/// sharded .safetensors or Keras files; a folder stands for the model in it (model_folder.h). Tensors view the mapped file
/// where the format allows it. Throws `Error` when the file is missing, empty, of no known format or broken.
RawFile read_raw_file(const std::string& path, const ReadOptions& options = {});

/// The same of a file's bytes, which must live as long as the tensors; `name` stands for the file in errors.
RawFile read_raw_file(std::span<const std::byte> bytes, const std::string& name, const ReadOptions& options = {});

}  // namespace gcvit::formats
