// SPDX-License-Identifier: Apache-2.0
// RUN_DIR/checkpoint/state.safetensors: all that a run needs to go on as if it had never stopped. It is a model file of
// ours (the weights of the moment) with more tensors, named "optimiser.m:NAME" and so on, and one more metadata key,
// gcvit.train, whose JSON holds the recipe and where the run stands. One file, so that it is there whole or not at all.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/image_stamp.h"
#include "model/gcvit.h"
#include "train/optimiser.h"
#include "train/recipe.h"
#include "train/run_log.h"
#include "weights/model_file.h"
#include "formats/raw_file.h"

namespace gcvit::train {

/// The best epoch so far.
struct Best {
  std::int32_t epoch = 0;  ///< counts from 1
  double accuracy = 0.0;  ///< on the validation photos
  double loss = 0.0;
  bool operator==(const Best&) const = default;
};

/// A photo of one side of the split.
struct SplitImage {
  std::uint64_t sample = 0;  ///< its place in the data set: what its random numbers go by
  std::string name;  ///< as the data set has it
  std::int32_t label = 0;  ///< the head's output that is its class
  data::ImageStamp stamp;
  bool operator==(const SplitImage&) const = default;
};

/// Where a run stands, between two steps.
struct RunState {
  Recipe recipe;
  std::string weights;  ///< as -m or --variant named them: "-m FILE"
  std::string data;  ///< as it was given

  std::int64_t step = 0;  ///< of the optimiser, done
  std::int32_t epoch = 0;  ///< done
  std::uint64_t position = 0;  ///< in the running epoch's order of photos
  /// Of the running epoch's photos.
  double loss_sum = 0.0;
  std::int64_t correct = 0;
  std::int64_t seen = 0;
  double seconds = 0.0;  ///< that its steps took

  std::vector<EpochRow> rows;
  std::optional<Best> best;
  std::vector<SplitImage> train;
  std::vector<SplitImage> validation;
  bool stamped = true;  ///< the photos have labels and stamps; those of an older checkpoint have neither
  std::vector<std::string> skipped;  ///< names of photos that could not be read

  bool operator==(const RunState&) const = default;
};

/// Writes the file: the old one stays until the new one is on disk. Throws `Error` when it can't be written, and when
/// any number in it is not finite; then too the old one stays.
void write_checkpoint(const std::string& path, const RunState& state, const model::GCViT& model,
                      const weights::ModelInfo& info, std::span<const ops::Parameter* const> trained,
                      std::span<const Optimiser::Slot> slots);

/// A checkpoint that was read; its tensors view the file.
struct Checkpoint {
  std::string file;
  RunState state;
  weights::ModelInfo info;
  formats::RawFile raw;
};

/// Reads the formats of this version and of all before. Throws `Error` when the file is missing or isn't exactly what was written: the whole contents are held against the
/// SHA-256 in it.
Checkpoint read_checkpoint(const std::string& path);

/// The same from tensors and metadata already read; `path` names them in errors. A checkpoint whose tensors aren't the
/// model's that its config describes is refused here, before anything is allocated by that config.
Checkpoint parse_checkpoint(formats::RawFile raw, const std::string& path);

/// The metadata key of the sum.
inline constexpr const char* kCheckpointSum = "gcvit.train.sha256";
/// SHA-256 of all names, tensors and metadata but the sum itself.
std::string checkpoint_sum(std::span<const formats::NamedTensor> tensors,
                           const std::map<std::string, std::string>& metadata);

/// Puts the weights into the model, whose tensors are written in place, and the numbers of the optimiser into `slots`,
/// which hold those of `trained`. Throws `Error` when a tensor is missing or of another shape.
void restore(const Checkpoint& checkpoint, model::GCViT& model, std::span<const ops::Parameter* const> trained,
             std::span<const Optimiser::Slot> slots);

}  // namespace gcvit::train
