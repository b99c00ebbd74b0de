// SPDX-License-Identifier: Apache-2.0
// RUN_DIR/checkpoint/state.safetensors: everything that a run needs to resume as if it had never stopped. It is a gcvit model
// file (the current weights) with more tensors, named "optimiser.m:NAME" and so on, and one more metadata key,
// gcvit.train, whose JSON holds the recipe and the state of the run. It is a single file, so that it is replaced atomically.
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

/// A training or validation photo.
struct SplitImage {
  std::uint64_t sample = 0;  ///< its index in the data set, by which its random numbers are drawn
  std::string name;  ///< as the data set has it
  std::int32_t label = 0;  ///< index of its class among the head's outputs
  data::ImageStamp stamp;
  bool operator==(const SplitImage&) const = default;
};

/// The state of a run between two steps.
struct RunState {
  Recipe recipe;
  std::string weights;  ///< as given by -m or --variant: "-m FILE"
  std::string data;  ///< as it was given

  std::int64_t step = 0;  ///< number of completed optimiser steps
  std::int32_t epoch = 0;  ///< number of completed epochs
  std::uint64_t position = 0;  ///< in the order of the current epoch's photos
  /// Of the running epoch's photos.
  double loss_sum = 0.0;
  std::int64_t correct = 0;
  std::int64_t seen = 0;
  double seconds = 0.0;  ///< time of its steps

  std::vector<EpochRow> rows;
  std::optional<Best> best;
  std::vector<SplitImage> train;
  std::vector<SplitImage> validation;
  bool stamped = true;  ///< photos have labels and stamps; false for checkpoints of older versions, without both
  std::vector<std::string> skipped;  ///< names of photos that could not be read

  bool operator==(const RunState&) const = default;
};

/// Writes the file atomically: the old one is kept until the new one is on disk. Throws `Error`, and keeps the old one, when
/// it can't be written or any number in it isn't finite.
void write_checkpoint(const std::string& path, const RunState& state, const model::GCViT& model,
                      const weights::ModelInfo& info, std::span<const ops::Parameter* const> trained,
                      std::span<const Optimiser::Slot> slots);

/// A checkpoint read from a file, which its tensors view.
struct Checkpoint {
  std::string file;
  RunState state;
  weights::ModelInfo info;
  formats::RawFile raw;
};

/// Reads checkpoints of this version and of all earlier ones. Throws `Error` when the file is missing or damaged: the whole
/// contents are compared with the SHA-256 in it.
Checkpoint read_checkpoint(const std::string& path);

/// The same from tensors and metadata in memory; `path` names them in errors. Refuses a checkpoint whose tensors don't match
/// the model that its config describes, before anything is allocated by that config.
Checkpoint parse_checkpoint(formats::RawFile raw, const std::string& path);

/// The metadata key of the checksum.
inline constexpr const char* kCheckpointSum = "gcvit.train.sha256";
/// SHA-256 of all names, tensors and metadata except the checksum itself.
std::string checkpoint_sum(std::span<const formats::NamedTensor> tensors,
                           const std::map<std::string, std::string>& metadata);

/// Restores the weights into the model's tensors, in place, and the optimiser state of `trained` into `slots`. Throws `Error`
/// when a tensor is missing or has another shape.
void restore(const Checkpoint& checkpoint, model::GCViT& model, std::span<const ops::Parameter* const> trained,
             std::span<const Optimiser::Slot> slots);

}  // namespace gcvit::train
