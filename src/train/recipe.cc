// SPDX-License-Identifier: Apache-2.0
#include "train/recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <type_traits>

#include "base/error.h"

namespace gcvit::train {
namespace {

void expect(bool holds, std::string_view name, std::string_view expected, const auto& found) {
  if (!holds) fail("[train] {}: expected {}, found {}", flag_of(name), expected, found);
}

/// True for a finite number in [low, high].
bool within(double value, double low, double high) { return value >= low && value <= high && std::isfinite(value); }

constexpr double kAny = std::numeric_limits<double>::max();

template <std::size_t count>
void expect_one_of(std::string_view name, const std::string& value, const std::array<std::string_view, count>& words) {
  if (std::ranges::find(words, value) != words.end()) return;
  std::string list;
  for (std::size_t i = 0; i < count; ++i) {
    list += fmt::format("{}{}", i == 0 ? "" : i + 1 == count ? " or " : ", ", words[i]);
  }
  fail("[train] {}: expected {}, found \"{}\"", flag_of(name), list, value);
}

void check_words(const Recipe& recipe) {
  using Words2 = std::array<std::string_view, 2>;
  using Words3 = std::array<std::string_view, 3>;
  expect_one_of("recipe", recipe.recipe, Words3{"tutorial", "finetune", "scratch"});
  expect_one_of("optimizer", recipe.optimizer, std::array<std::string_view, 4>{"adam", "adamw", "muon", "sgd"});
  expect_one_of("adam_form", recipe.adam_form, Words2{"torch", "keras"});
  expect_one_of("sched", recipe.sched, Words2{"constant", "cosine"});
  expect_one_of("augment", recipe.augment, Words3{"none", "flip", "randaug"});
  expect_one_of("freeze", recipe.freeze, std::array<std::string_view, 4>{"none", "stem", "levels", "all-but-head"});
  expect_one_of("window_mode", recipe.window_mode, Words2{"exact", "fixed"});
  expect_one_of("preprocess", recipe.preprocess,
                std::array<std::string_view, 5>{"auto", "keras", "keras-train", "timm", "nvlabs"});
  expect_one_of("dtype", recipe.dtype, Words2{"f32", "bf16"});
}

void check_numbers(const Recipe& recipe) {
  expect(recipe.epochs >= 1, "epochs", "at least 1", recipe.epochs);
  expect(recipe.max_steps >= 0, "max_steps", "at least 0", recipe.max_steps);
  expect(recipe.batch_size >= 1 && recipe.batch_size <= 65536, "batch_size", "1 to 65536", recipe.batch_size);
  expect(recipe.grad_accum >= 1 && recipe.grad_accum <= 65536, "grad_accum", "1 to 65536", recipe.grad_accum);
  expect(recipe.num_classes >= 0 && recipe.num_classes <= 1'000'000, "num_classes", "up to 1000000",
         recipe.num_classes);
  expect(recipe.max_pixels >= 1, "max_pixels", "at least 1", recipe.max_pixels);
  expect(recipe.early_stop >= 0, "early_stop", "at least 0", recipe.early_stop);
  struct Range {
    std::string_view name;
    double value;
    double low;
    double high;
  };
  for (const Range& range : {
           Range{"lr", recipe.lr, 0.0, kAny},
           Range{"momentum", recipe.momentum, 0.0, 1.0},
           Range{"beta1", recipe.beta1, 0.0, 0.9999999},
           Range{"beta2", recipe.beta2, 0.0, 0.9999999},
           Range{"adam_epsilon", recipe.adam_epsilon, 0.0, 1.0},
           Range{"weight_decay", recipe.weight_decay, 0.0, kAny},
           Range{"clip_grad", recipe.clip_grad, 0.0, kAny},
           Range{"ema_decay", recipe.ema_decay, 0.0, 0.9999999},
           Range{"warmup_epochs", recipe.warmup_epochs, 0.0, kAny},
           Range{"min_lr", recipe.min_lr, 0.0, kAny},
           Range{"label_smoothing", recipe.label_smoothing, 0.0, 1.0},
           Range{"mixup", recipe.mixup, 0.0, 1000.0},
           Range{"cutmix", recipe.cutmix, 0.0, 1000.0},
           Range{"random_erasing", recipe.random_erasing, 0.0, 1.0},
           Range{"rrc_scale", recipe.rrc_scale, 0.0, 1.0},
           Range{"drop_path", recipe.drop_path, 0.0, 0.99},
           Range{"val_split", recipe.val_split, 0.0, 0.99},
           Range{"soft_weight", recipe.soft_weight, 0.0, 1.0},
       }) {
    if (within(range.value, range.low, range.high)) continue;
    if (range.high == kAny) fail("[train] {}: expected at least 0, found {}", flag_of(range.name), range.value);
    fail("[train] {}: expected {} to {}, found {}", flag_of(range.name), range.low, range.high, range.value);
  }
  expect(recipe.layer_decay > 0.0 && recipe.layer_decay <= 1.0, "layer_decay", "over 0, up to 1", recipe.layer_decay);
  expect(recipe.soft_temperature > 0.0 && recipe.soft_temperature <= 1000.0, "soft_temperature", "over 0, up to 1000",
         recipe.soft_temperature);
  expect(recipe.min_lr <= recipe.lr, "min_lr", fmt::format("at most --lr {}", recipe.lr), recipe.min_lr);
}

void check_together(const Recipe& recipe) {
  if (recipe.linear_probe && recipe.freeze != "none") {
    fail("[train] --freeze: --linear-probe trains the head alone already");
  }
  if (recipe.linear_probe && (recipe.mixup > 0.0 || recipe.cutmix > 0.0 || recipe.random_erasing > 0.0 ||
                              recipe.rrc_scale > 0.0 || recipe.augment == "randaug" || recipe.drop_path > 0.0)) {
    fail(
        "[train] --linear-probe: its features are computed once, so of the augmentations only flip is possible: leave "
        "out --mixup, --cutmix, --random-erasing, --rrc-scale, --augment randaug and --drop-path");
  }
  if (recipe.early_stop > 0 && recipe.val_split == 0.0) {
    fail("[train] --early-stop: needs photos to validate on, but --val-split is 0");
  }
}

template <typename Field>
Field field_of(const nlohmann::json& value, const std::string& place) {
  const auto expected = [&](std::string_view what) {
    fail("[train] {}: expected {}, found {}", place, what, value.type_name());
  };
  if constexpr (std::is_same_v<Field, bool>) {
    if (!value.is_boolean()) expected("true or false");
  } else if constexpr (std::is_same_v<Field, std::string>) {
    if (!value.is_string()) expected("a text");
  } else if constexpr (std::is_floating_point_v<Field>) {
    if (!value.is_number()) expected("a number");
  } else {
    if (!value.is_number_integer()) expected("an integer");
    const bool positive = value.is_number_unsigned() || value.get<std::int64_t>() >= 0;
    const bool fits = positive
                          ? value.get<std::uint64_t>() <= static_cast<std::uint64_t>(std::numeric_limits<Field>::max())
                          : std::is_signed_v<Field> && value.get<std::int64_t>() >=
                                                           static_cast<std::int64_t>(std::numeric_limits<Field>::min());
    if (!fits) fail("[train] {}: {} is out of range", place, value.dump());
  }
  return value.get<Field>();
}

}  // namespace

std::string flag_of(std::string_view name) {
  std::string flag = "--" + std::string(name);
  std::ranges::replace(flag, '_', '-');
  return flag;
}

Recipe preset(std::string_view name, bool linear_probe) {
  Recipe recipe;
  recipe.recipe = name;
  if (name == "tutorial") {
    recipe.epochs = 5;
    recipe.optimizer = "adam";
    recipe.lr = 1e-3;
    recipe.adam_epsilon = 1e-7;
    recipe.adam_form = "keras";
    recipe.weight_decay = 0.0;
    recipe.clip_grad = 0.0;
    recipe.sched = "constant";
    recipe.preprocess = "keras-train";
    recipe.tutorial_split = true;
  } else if (name == "finetune") {
    recipe.ema_decay = 0.99;
    recipe.warmup_epochs = 1.0;
    recipe.min_lr = 1e-6;
    recipe.layer_decay = 0.8;
    recipe.label_smoothing = 0.1;
    recipe.rrc_scale = 0.5;
    recipe.drop_path = 0.05;
  } else if (name == "scratch") {
    recipe.epochs = 100;
    recipe.lr = 1e-3;
    recipe.ema_decay = 0.999;
    recipe.warmup_epochs = 5.0;
    recipe.min_lr = 1e-5;
    recipe.label_smoothing = 0.1;
    recipe.augment = "randaug";
    recipe.rrc_scale = 0.3;
    recipe.drop_path = 0.1;
  } else {
    fail("[train] --recipe: expected tutorial, finetune or scratch, found \"{}\"", name);
  }
  if (linear_probe) {
    recipe.linear_probe = true;
    recipe.layer_decay = 1.0;
    recipe.drop_path = recipe.rrc_scale = 0.0;
    recipe.augment = "flip";
    if (name != "tutorial") {
      recipe.epochs = 100;
      recipe.lr = 3e-3;
      recipe.warmup_epochs = recipe.ema_decay = 0.0;
      recipe.weight_decay = 1e-3;
    }
  }
  return recipe;
}

void validate(const Recipe& recipe) {
  check_words(recipe);
  check_numbers(recipe);
  check_together(recipe);
}

nlohmann::ordered_json to_json(const Recipe& recipe) {
  nlohmann::ordered_json json;
  visit_fields([&](const char* name, auto member) { json[name] = recipe.*member; });
  return json;
}

Recipe recipe_from_json(const nlohmann::json& json, const std::string& file) {
  Recipe recipe;
  visit_fields([&](const char* name, auto member) {
    const auto found = json.find(name);
    if (json.is_object() && found == json.end() && std::string_view(name) == "max_pixels") return;
    if (!json.is_object() || found == json.end()) fail("[train] {}: expected the key \"{}\", found none", file, name);
    using Field = std::remove_reference_t<decltype(recipe.*member)>;
    recipe.*member = field_of<Field>(*found, fmt::format("{}: {}", file, name));
  });
  validate(recipe);
  return recipe;
}

std::vector<std::string> differences(const Recipe& a, const Recipe& b) {
  std::vector<std::string> flags;
  visit_fields([&](const char* name, auto member) {
    if (a.*member != b.*member) flags.push_back(flag_of(name));
  });
  return flags;
}

}  // namespace gcvit::train
