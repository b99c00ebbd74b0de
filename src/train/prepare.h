// SPDX-License-Identifier: Apache-2.0
// Prepares a run: the photos, which of them are for validation, and a model whose head fits their classes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/source_summary.h"
#include "data/image_hash.h"
#include "data/image_set.h"
#include "data/image_stamp.h"
#include "data/partition.h"
#include "image/preprocess.h"
#include "model/gcvit.h"
#include "model/image_size.h"
#include "train/checkpoint.h"
#include "train/recipe.h"
#include "weights/model_file.h"

namespace gcvit::train {

/// Where the first weights come from: a file, or random ones of a variant.
struct Start {
  std::string weights;  ///< path; empty for random weights
  std::string variant;  ///< name; empty for a file's
  std::optional<model::ImageSize> image_size;
  model::WindowMode window_mode = model::WindowMode::kExact;
  std::optional<bool> averaged;  ///< of a file that holds both: averaged or raw weights, as `weights::LoadOptions`
  std::uint64_t max_memory = 0;  ///< bytes, of the model's parameters; 0 for `default_memory_limit()`
};

struct Prepared {
  data::ImageSet set;  ///< its labels index the head's outputs
  data::Partition split;
  data::SourceSummary found;  ///< what the source holds, by its own names
  std::vector<data::ImageStamp> stamps;  ///< one a sample of the set, from before any photo was read
  weights::ModelInfo info;
  std::unique_ptr<model::GCViT> model;  ///< all tensors its own, to be written; drop path as the recipe says
  image::PreprocessConfig preprocess;   ///< of evaluation, as `info` says it
};

using Notice = std::function<void(std::string_view sentence)>;

/// Throws `Error` when no photo is where the set says: that is one mistake, and not one of each photo.
void check_any_there(const data::ImageSet& set);

/// How a new run is prepared. What the functions throw ends it.
struct PrepareOptions {
  int threads = 0;  ///< number of threads that read and hash photos; 0: one for each processor
  std::function<void()> while_waiting_for_list = [] {
  };  ///< called repeatedly until the list of validation photos is read
  std::function<void(const data::HashProgress&)> on_hash_progress = [](const data::HashProgress&) {};
};

/// Splits the photos and opens the weights. The head is kept when it has an output for each class and, where both
/// have names, all classes' names are among the model's; else it is new, and random by the recipe's seed. `notice` gets
/// sentences for people. Throws `Error` when anything can't be read or no step could be made.
Prepared prepare(data::ImageSet set, const Start& start, const Recipe& recipe, const Notice& notice,
                 const PrepareOptions& options = {});

/// The same for a resumed run: the model as the checkpoint describes it, whose values are still to be restored, and the
/// photos of the run, each at its old index in the set. Throws `Error` when one of them is no longer in `data`, has another
/// class or has changed. `notice` gets a sentence when that can't be checked.
Prepared prepare(const std::string& data, const Checkpoint& checkpoint, const Notice& notice);

}  // namespace gcvit::train
