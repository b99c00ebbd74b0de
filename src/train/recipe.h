// SPDX-License-Identifier: Apache-2.0
// Everything that decides what a training run computes: each field is a flag of `gcvit train`, a key of config.json and
// a part of every checkpoint.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace gcvit::train {

struct Recipe {
  std::string recipe = "finetune";  ///< the preset that gave the other fields their defaults

  std::int32_t epochs = 10;
  std::int64_t max_steps = 0;  ///< ends the run, and its schedule, earlier; 0: off
  std::int32_t batch_size = 32;  ///< photos that are mixed with each other
  std::int32_t grad_accum = 1;  ///< batches in a step of the optimiser, whose loss is the mean over all their photos

  std::string optimizer = "adamw";  ///< adam (weight decay in the gradient), adamw (decoupled), muon, sgd
  double lr = 3e-4;
  double momentum = 0.9;  ///< of sgd and muon
  double beta1 = 0.9;  ///< of adam and adamw
  double beta2 = 0.999;
  double adam_epsilon = 1e-8;
  /// Where epsilon is added. torch: lr m' / (sqrt(v') + e) with corrected moments m' and v'. keras: to the uncorrected
  /// sqrt(v), which amounts to a larger epsilon in the first steps.
  std::string adam_form = "torch";
  double weight_decay = 0.05;
  double clip_grad = 1.0;  ///< largest norm of the gradient; 0: off
  double ema_decay = 0.0;  ///< decay of the averaged weights; 0: no average

  std::string sched = "cosine";  ///< constant or cosine
  double warmup_epochs = 0.0;
  double min_lr = 0.0;
  double layer_decay = 1.0;  ///< factor of the learning rate from each layer to the one before it

  double label_smoothing = 0.0;
  double mixup = 0.0;  ///< alpha of Beta(alpha, alpha); 0: off
  double cutmix = 0.0;  ///< likewise
  std::string augment = "flip";  ///< none, flip or randaug
  double random_erasing = 0.0;  ///< probability
  double rrc_scale = 0.0;  ///< least share of a photo's area in a random crop; 0: no random crops
  double drop_path = 0.0;

  std::string freeze = "none";  ///< none, stem, levels (all but final norm and head) or all-but-head
  bool linear_probe = false;  ///< train the head on features that are computed once

  double val_split = 0.1;  ///< share of the photos for validation if the data has no validation split
  bool tutorial_split = false;  ///< validate on the last of all photos, shuffled, instead of a stratified choice
  std::string val_list;  ///< file that names the validation photos, one per line; empty: chosen by `val_split`
  bool no_shuffle = false;  ///< photos in the order of their sorted paths
  std::uint64_t seed = 0;
  std::int32_t early_stop = 0;  ///< epochs without a better validation accuracy after which the run ends; 0: never
  bool strict = false;  ///< a photo that can't be read ends the run
  std::uint64_t max_pixels = 178'956'970;  ///< photos with more pixels are refused

  std::string preprocess = "auto";
  std::string image_size;  ///< "192" or "192x256"; empty: the model's own
  std::string window_mode = "exact";
  std::int32_t num_classes = 0;  ///< 0: the number of classes in the data
  std::string dtype = "f32";  ///< or bf16: data type of the operands of layers' products and of their gradients
  bool grad_checkpointing = false;  ///< recompute activations in the backward pass: less memory, more time

  std::string soft_labels;  ///< file of a teacher's logits; empty for none
  double soft_temperature = 1.0;
  double soft_weight = 0.5;  ///< weight of the teacher in the loss

  bool operator==(const Recipe&) const = default;
};

/// Calls `visit(name, member)` for every field, `name` as in config.json; the flag is `flag_of(name)`. The only list of
/// fields: JSON, flags and the comparison of a resumed run's flags use it.
template <typename Visit>
void visit_fields(Visit&& visit) {
  visit("recipe", &Recipe::recipe);
  visit("epochs", &Recipe::epochs);
  visit("max_steps", &Recipe::max_steps);
  visit("batch_size", &Recipe::batch_size);
  visit("grad_accum", &Recipe::grad_accum);
  visit("optimizer", &Recipe::optimizer);
  visit("lr", &Recipe::lr);
  visit("momentum", &Recipe::momentum);
  visit("beta1", &Recipe::beta1);
  visit("beta2", &Recipe::beta2);
  visit("adam_epsilon", &Recipe::adam_epsilon);
  visit("adam_form", &Recipe::adam_form);
  visit("weight_decay", &Recipe::weight_decay);
  visit("clip_grad", &Recipe::clip_grad);
  visit("ema_decay", &Recipe::ema_decay);
  visit("sched", &Recipe::sched);
  visit("warmup_epochs", &Recipe::warmup_epochs);
  visit("min_lr", &Recipe::min_lr);
  visit("layer_decay", &Recipe::layer_decay);
  visit("label_smoothing", &Recipe::label_smoothing);
  visit("mixup", &Recipe::mixup);
  visit("cutmix", &Recipe::cutmix);
  visit("augment", &Recipe::augment);
  visit("random_erasing", &Recipe::random_erasing);
  visit("rrc_scale", &Recipe::rrc_scale);
  visit("drop_path", &Recipe::drop_path);
  visit("freeze", &Recipe::freeze);
  visit("linear_probe", &Recipe::linear_probe);
  visit("val_split", &Recipe::val_split);
  visit("tutorial_split", &Recipe::tutorial_split);
  visit("val_list", &Recipe::val_list);
  visit("no_shuffle", &Recipe::no_shuffle);
  visit("seed", &Recipe::seed);
  visit("early_stop", &Recipe::early_stop);
  visit("strict", &Recipe::strict);
  visit("max_pixels", &Recipe::max_pixels);
  visit("preprocess", &Recipe::preprocess);
  visit("image_size", &Recipe::image_size);
  visit("window_mode", &Recipe::window_mode);
  visit("num_classes", &Recipe::num_classes);
  visit("dtype", &Recipe::dtype);
  visit("grad_checkpointing", &Recipe::grad_checkpointing);
  visit("soft_labels", &Recipe::soft_labels);
  visit("soft_temperature", &Recipe::soft_temperature);
  visit("soft_weight", &Recipe::soft_weight);
}

/// "grad_accum" -> "--grad-accum"; "batch_size" -> "--batch", as in the program's other commands.
std::string flag_of(std::string_view name);

/// The values that a text field can have; empty for one that takes any.
std::vector<std::string> words_of(std::string_view name);
/// The values that a number can have: "1 to 65536", "at least 0"; empty for other fields.
std::string range_of(std::string_view name);

/// "tutorial": the Keras example's fit: Keras' Adam at 1e-3, batches of 32, 5 epochs, flips, bicubic squash, the last
/// tenth for validation. "finetune": pretrained weights on new photos on a CPU, few epochs. "scratch": random weights, many
/// epochs. For a linear probe, augmentation and schedule are those that suit a head on fixed features. Throws `Error` for
/// another name.
Recipe preset(std::string_view name, bool linear_probe = false);

/// Throws `Error` with one sentence, which begins with the flag, on the first field out of its range or two that
/// contradict each other.
void validate(const Recipe& recipe);

nlohmann::ordered_json to_json(const Recipe& recipe);
/// Throws `Error` for a missing key or one of another type, then as `validate`; `file` names the source. Keys that aren't
/// fields are ignored. Runs of versions without "max_pixels" get its default.
Recipe recipe_from_json(const nlohmann::json& json, const std::string& file);

/// The flags of the fields in which the two differ.
std::vector<std::string> differences(const Recipe& a, const Recipe& b);

}  // namespace gcvit::train
