// SPDX-License-Identifier: Apache-2.0
#include "train/prepare.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <system_error>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "inference/labels.h"
#include "inference/preprocessing.h"
#include "model/initialise.h"
#include "model/tensor_table.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/open_file.h"
#include "train/json_bytes.h"
#include "weights/convert.h"
#include "formats/in_quotes.h"
#include "weights/load.h"

namespace gcvit::train {
namespace {

/// A model like `source` with the recipe's drop path and tensors of its own.
std::unique_ptr<model::GCViT> writable_model(model::GCViTConfig config, const Recipe& recipe,
                                             const model::GCViT* source) {
  config.drop_path = static_cast<float>(recipe.drop_path);
  auto result = std::make_unique<model::GCViT>(config);
  for (std::size_t i = 0; i < result->parameters().size(); ++i) {
    model::Parameter& parameter = *result->parameters()[i];
    parameter.tensor = source == nullptr
                           ? Tensor(DType::kF32, parameter.dims)
                           : Tensor::from_values(parameter.dims, source->parameters()[i]->tensor.values());
    ++parameter.version;
  }
  return result;
}

void renew_head(model::GCViT& model, std::uint64_t seed) {
  for (model::Parameter* parameter : model.parameters()) {
    if (model::is_in(model::Part::kHead, parameter->name)) model::initialise(*parameter, seed);
  }
}

constexpr std::uint64_t kMostConfigBytes = std::uint64_t{1} << 20;

/// A published variant's config, or one in a file as gcvit.config has it.
model::GCViTConfig config_named(const std::string& variant) {
  if (!variant.ends_with(".json")) return model::variant_config(variant);
  const std::string text = read_regular_text(variant, "train", kMostConfigBytes);
  return weights::parse_model_info({{"gcvit.format", "1"}, {"gcvit.config", text}}, variant).config;
}

weights::LoadedModel load_start(const Start& start, const Recipe& recipe, std::int32_t classes) {
  if (!start.weights.empty()) {
    weights::LoadOptions options;
    options.image_size = start.image_size;
    options.window_mode = start.window_mode;
    options.classes = classes;
    options.seed = recipe.seed;
    options.averaged = start.averaged;
    options.max_memory = start.max_memory;
    weights::LoadedModel loaded = weights::load_model(start.weights, options);
    weights::record_origin(loaded.info, start.weights);
    return loaded;
  }
  weights::LoadedModel loaded;
  loaded.info.config = config_named(start.variant);
  loaded.info.config.classes = classes;
  if (start.image_size) {
    loaded.info.config = model::with_image_size(loaded.info.config, *start.image_size, start.window_mode);
  }
  loaded.model = std::make_unique<model::GCViT>(loaded.info.config);
  check_memory(sizeof(float) * static_cast<double>(loaded.model->parameter_count()), start.max_memory,
               fmt::format("{}: the model's parameters", start.variant));
  model::initialise(*loaded.model, recipe.seed);
  loaded.report.new_head = true;
  return loaded;
}

/// Whether the class names of a numbered set are indices of a head's outputs: there are fewer classes than outputs, or as many
/// and numbered from 0. Classes numbered from 1 count too, so that `take_numbers_as_indices` explains what is wrong.
bool classes_are_output_indices(const data::ImageSet& set, std::size_t outputs) {
  if (!set.numbered || set.classes.size() > outputs) return false;
  const std::string& name = set.classes.back();
  std::size_t last = 0;  // by value, ignoring leading zeros
  const bool fits = std::from_chars(name.data(), name.data() + name.size(), last).ec == std::errc();
  return set.classes.size() < outputs || (fits && (last == outputs - 1 || last == outputs));
}

/// Makes the set's labels index the head's outputs, renews the head when it is for other classes, and names them.
void join_classes(data::ImageSet& set, weights::LoadedModel& loaded, const Recipe& recipe, const Notice& notice) {
  weights::ModelInfo& info = loaded.info;
  const auto outputs = static_cast<std::size_t>(info.config.classes);
  const bool named = !info.classes.empty() || info.config.classes == 1000;
  const bool by_number = classes_are_output_indices(set, outputs);
  if (!loaded.report.new_head && named) {
    const std::vector<std::string> labels = inference::class_labels(info);
    const std::vector<std::string> ids = inference::wordnet_ids(labels);
    if (data::all_classes_known(set, labels, ids) || by_number) {
      data::remap_labels(set, labels, ids);
      info.classes = labels;  // for a resumed run
      return;
    }
    if (!info.classes.empty()) {
      loaded.report.new_head = true;
      renew_head(*loaded.model, recipe.seed);
    }
  }
  const bool fits = set.classes.size() == outputs;
  // For a new head with as many outputs, numbers are names.
  const bool as_indices = by_number && (!loaded.report.new_head || !fits);
  if (as_indices) data::take_numbers_as_indices(set, outputs);
  if (loaded.report.new_head) {
    notice(fmt::format("[train] the head is new: {} classes with random values", info.config.classes));
    info.classes.clear();
  } else {
    notice(fmt::format("[train] the head of {} is kept: class i of the photos, by {}, is its output i",
                       info.config.classes, as_indices ? "number" : "sorted name"));
  }
  if (info.classes.empty() && fits && !as_indices) info.classes = set.classes;
}

/// Leaves out the photos marked for validation, with a notice.
void leave_out_validation(data::ImageSet& set, data::Partition& split) {
  if (split.validation.empty()) return;
  set.left_out.push_back({.reason = "photos that --val-split 0 leaves out",
                          .count = split.validation.size(),
                          .example = set.samples[split.validation.front()].name});
  for (data::FoundSplit& one : set.splits) {
    if (one.use == data::SplitUse::kValidates) one.use = data::SplitUse::kLeftOut;
  }
  split.validation.clear();
}

data::Partition split_images(data::ImageSet& set, const Recipe& recipe, const data::HashOptions& hashing) {
  if (!set.validates.empty()) {
    data::Partition split = data::split_as_marked(set);
    if (recipe.val_split == 0.0) {
      leave_out_validation(set, split);
    } else if (recipe.val_split != Recipe().val_split) {
      set.notices.push_back(
          fmt::format("{}: which photos validate is known: --val-split {} isn't used", set.root, recipe.val_split));
    }
    return split;
  }
  return recipe.tutorial_split ? data::split_tutorial(set, recipe.val_split, recipe.seed)
                               : data::split_stratified(set, recipe.val_split, recipe.seed, hashing);
}

/// Throws `Error` unless the names that the saved files will have can be written there.
void check_names(const std::vector<std::string>& classes, const std::string& data) {
  for (const std::string& name : classes) {
    if (!is_utf8(name)) {
      fail("[train] {}: class {}: expected a name in UTF-8, as model files have, found other bytes", data,
           formats::in_quotes(name));
    }
  }
}

/// What differs between a photo then and now.
std::string difference(const data::ImageStamp& before, const data::ImageStamp& now) {
  if (before.there != now.there) return now.there ? "it could not be read then" : "it is gone";
  if (before.size != now.size) return fmt::format("its file has {} bytes instead of {}", now.size, before.size);
  return "its SHA-256 differs";
}

/// All photos of a run, for training and validation, by their places.
std::vector<const SplitImage*> by_place(const RunState& state) {
  std::vector<const SplitImage*> images;
  for (const auto* part : {&state.train, &state.validation}) {
    for (const SplitImage& image : *part) images.push_back(&image);
  }
  std::ranges::sort(images, {}, &SplitImage::sample);
  return images;
}

/// Restores each photo of the run to its index in the set, which determines its random numbers, even if other photos were
/// added or removed since. All other indices get empty samples.
void restore_places(data::ImageSet& set, const Checkpoint& checkpoint, const std::vector<const SplitImage*>& images) {
  const auto stays = [&](const SplitImage* image) {
    return image->sample < set.samples.size() && set.samples[image->sample].name == image->name;
  };
  if (std::ranges::all_of(images, stays)) return;
  // A set may have a name more than once; its indices are assigned in order.
  std::unordered_map<std::string_view, std::vector<std::size_t>> by_name;
  for (std::size_t i = set.samples.size(); i-- > 0;) by_name[set.samples[i].name].push_back(i);
  // A run on a small part of a set has many other indices, but a file must not be able to claim any number of them.
  const std::uint64_t most = 16 * (images.size() + set.samples.size()) + 4096;
  std::vector<data::Sample> placed;
  for (const SplitImage* image : images) {
    const auto found = by_name.find(image->name);
    if (found == by_name.end()) {
      fail("[train] {}: {}: the run that is to go on had this photo, and it is gone", set.root, image->name);
    }
    if (image->sample >= most || image->sample < placed.size()) {
      fail("[checkpoint] {}: photo {}: expected a place of its own below {}, found {}", checkpoint.file, image->name,
           most, image->sample);
    }
    placed.resize(image->sample);
    placed.push_back(set.samples[found->second.back()]);
    // A list's lines that repeat a photo were photos of their own in older versions; now there is one of them.
    if (found->second.size() > 1) found->second.pop_back();
  }
  set.samples = std::move(placed);
  set.validates.clear();
}

/// The photos of a resumed run, including those of a test split if the run, of an older version, has some.
data::ImageSet open_for(const RunState& state, const std::string& data) {
  data::ImageSet set = data::open_image_set(data);
  const bool any_left_out = std::ranges::any_of(set.splits, [](const data::FoundSplit& one) {
    return one.split == data::Split::kTest && one.use == data::SplitUse::kLeftOut;
  });
  if (!any_left_out) return set;
  std::unordered_set<std::string_view> names;
  for (const data::Sample& sample : set.samples) names.insert(sample.name);
  const bool all = std::ranges::all_of(by_place(state), [&](const auto* image) { return names.contains(image->name); });
  return all ? set : data::open_image_set(data, {.test_validates = true});
}

std::vector<std::size_t> places_of(const std::vector<SplitImage>& images) {
  std::vector<std::size_t> samples;
  samples.reserve(images.size());
  for (const SplitImage& image : images) samples.push_back(image.sample);
  return samples;
}

/// The photos of the checkpoint in the set that `prepared` has.
void find_images(Prepared& prepared, const Checkpoint& checkpoint, const Notice& notice) {
  data::ImageSet& set = prepared.set;
  const std::size_t found = set.samples.size();
  const std::vector<const SplitImage*> images = by_place(checkpoint.state);
  restore_places(set, checkpoint, images);
  prepared.split = {.train = places_of(checkpoint.state.train), .validation = places_of(checkpoint.state.validation)};
  prepared.stamps = data::stamps_of(set);
  if (std::ranges::any_of(images, [](const SplitImage* image) { return !image->stamp.sha256.empty(); })) {
    prepared.split.hashes.resize(set.samples.size());
    for (const SplitImage* image : images) prepared.split.hashes[image->sample] = image->stamp.sha256;
  }
  if (found > images.size()) {
    notice(
        fmt::format("[train] {} photos in {} are not part of the run that goes on", found - images.size(), set.root));
  }
}

/// Throws `Error` when a photo has changed since the run began, as far as that can be detected.
void check_unchanged(Prepared& prepared, const RunState& state, const Notice& notice) {
  const std::string& root = prepared.set.root;
  if (!state.stamped) {
    notice(
        fmt::format("[train] {}: the checkpoint is an older version's, which kept no sizes and times of the photos: "
                    "nothing tells whether they are unchanged",
                    root));
    return;
  }
  std::size_t unknown = 0;
  const SplitImage* first = nullptr;
  for (const SplitImage* image : by_place(state)) {
    const data::Sample& sample = prepared.set.samples[image->sample];
    data::ImageStamp& now = prepared.stamps[image->sample];
    if (sample.label != image->label) {
      fail("[train] {}: {}: expected its class to be output {} of the head, as when the run began, found output {}",
           root, image->name, image->label, sample.label);
    }
    switch (data::change_of(sample, image->stamp, now)) {
      case data::Change::kNone: break;
      case data::Change::kUnknown:
        if (unknown++ == 0) first = image;
        break;
      case data::Change::kChanged:
        fail("[train] {}: {}: expected the photo that the run began with, found another ({})", root, image->name,
             difference(image->stamp, now));
    }
    now.sha256 = image->stamp.sha256;
  }
  if (first != nullptr) {
    notice(
        fmt::format("[train] {}: {}{}: written anew since the run began, with the same size; the run has no hash of "
                    "its bytes, so nothing tells whether they are unchanged",
                    root, first->name, unknown == 1 ? "" : fmt::format(" and {} other photos", unknown - 1)));
  }
}

}  // namespace

void check_any_there(const data::ImageSet& set) {
  const auto there = [](const data::Sample& sample) {
    std::error_code error;
    return std::filesystem::exists(sample.file, error);
  };
  if (std::ranges::any_of(set.samples, there)) return;
  fail("[data] {}: expected the photos that it names ({}), found none of them: there is no {}", set.root,
       set.samples.size(), set.samples.front().file);
}

Prepared prepare(data::ImageSet images, const Start& start, const Recipe& recipe, const Notice& notice,
                 const PrepareOptions& options) {
  Prepared prepared;
  prepared.set = std::move(images);
  data::ImageSet& set = prepared.set;
  const std::string& data = set.root;
  const auto found = static_cast<std::int32_t>(set.classes.size());
  const std::int32_t classes = recipe.num_classes == 0 ? found : recipe.num_classes;
  if (classes < found) {
    fail("[train] {}: expected at most {} classes, as --num-classes says, found {}", data, classes, found);
  }
  // Before the photos are hashed, which may take an hour.
  weights::LoadedModel loaded = load_start(start, recipe, classes);
  prepared.stamps = data::stamps_of(set);
  if (!recipe.val_list.empty()) data::validate_on_list(set, recipe.val_list, options.while_waiting_for_list);
  prepared.split = split_images(set, recipe, {.threads = options.threads, .progress = options.on_hash_progress});
  for (std::size_t i = 0; i < prepared.split.hashes.size(); ++i) prepared.stamps[i].sha256 = prepared.split.hashes[i];
  data::check_trainable(set, prepared.split, classes, recipe.val_split > 0.0);
  prepared.found = data::summarise(set, &prepared.split);
  for (const std::string& line : data::describe(prepared.found)) notice("[data] " + line);
  for (const std::string& sentence : loaded.report.notices) notice(sentence);
  join_classes(set, loaded, recipe, notice);
  check_names(loaded.info.classes, data);
  for (const std::string& sentence : set.notices) notice("[data] " + sentence);

  prepared.info = std::move(loaded.info);
  prepared.info.temperature.reset();
  // What training makes of rewritten tables is no longer one table for all heads.
  if (prepared.info.origin) prepared.info.origin->keras_example_bias = false;
  prepared.preprocess =
      inference::preprocessing_of(prepared.info, recipe.preprocess, start.weights.empty() ? data : start.weights);
  prepared.info.preprocess_json = inference::to_json(prepared.preprocess);
  prepared.model = writable_model(prepared.info.config, recipe, loaded.model.get());
  return prepared;
}

Prepared prepare(const std::string& data, const Checkpoint& checkpoint, const Notice& notice) {
  Prepared prepared;
  prepared.set = open_for(checkpoint.state, data);
  data::ImageSet& set = prepared.set;
  prepared.info = checkpoint.info;
  if (prepared.info.classes.empty() && set.numbered) {
    data::take_numbers_as_indices(set, static_cast<std::size_t>(prepared.info.config.classes));
  } else if (!prepared.info.classes.empty() && prepared.info.classes != set.classes) {
    data::remap_labels(set, prepared.info.classes, inference::wordnet_ids(prepared.info.classes));
  }
  find_images(prepared, checkpoint, notice);
  prepared.found = data::summarise(set, &prepared.split);
  check_unchanged(prepared, checkpoint.state, notice);
  data::check_trainable(set, prepared.split, prepared.info.config.classes, !checkpoint.state.validation.empty());
  prepared.preprocess = inference::preprocessing_of(prepared.info, "auto", checkpoint.file);
  prepared.model = writable_model(prepared.info.config, checkpoint.state.recipe, nullptr);
  return prepared;
}

}  // namespace gcvit::train
