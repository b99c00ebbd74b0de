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

constexpr double kAny = std::numeric_limits<double>::max();

/// The values that a number may have.
struct Range {
  std::string_view name;
  double low;
  double high;
  bool above = false;  ///< `low` itself is out
};

constexpr std::array kRanges = {
    Range{"epochs", 1, kAny},           Range{"max_steps", 0, kAny},
    Range{"batch_size", 1, 65536},      Range{"grad_accum", 1, 65536},
    Range{"early_stop", 0, kAny},       Range{"num_classes", 0, 1'000'000},
    Range{"max_pixels", 1, kAny},       Range{"lr", 0.0, kAny},
    Range{"momentum", 0.0, 1.0},        Range{"beta1", 0.0, 0.9999999},
    Range{"beta2", 0.0, 0.9999999},     Range{"adam_epsilon", 0.0, 1.0},
    Range{"weight_decay", 0.0, kAny},   Range{"clip_grad", 0.0, kAny},
    Range{"ema_decay", 0.0, 0.9999999}, Range{"warmup_epochs", 0.0, kAny},
    Range{"min_lr", 0.0, kAny},         Range{"layer_decay", 0.0, 1.0, true},
    Range{"label_smoothing", 0.0, 1.0}, Range{"mixup", 0.0, 1000.0},
    Range{"cutmix", 0.0, 1000.0},       Range{"random_erasing", 0.0, 1.0},
    Range{"rrc_scale", 0.0, 1.0},       Range{"drop_path", 0.0, 0.99},
    Range{"val_split", 0.0, 0.99},      Range{"soft_temperature", 0.0, 1000.0, true},
    Range{"soft_weight", 0.0, 1.0},
};

std::string describe(const Range& range) {
  if (range.above) return fmt::format("over {}, up to {}", range.low, range.high);
  return range.high == kAny ? fmt::format("at least {}", range.low) : fmt::format("{} to {}", range.low, range.high);
}

bool holds(const Range& range, double value) {
  return std::isfinite(value) && value <= range.high && (range.above ? value > range.low : value >= range.low);
}

std::string describe(const std::vector<std::string>& words) {
  std::string list;
  for (std::size_t i = 0; i < words.size(); ++i) {
    list += fmt::format("{}{}", i == 0 ? "" : i + 1 == words.size() ? " or " : ", ", words[i]);
  }
  return list;
}

template <typename Field>
void check_field(std::string_view name, const Field& value) {
  if constexpr (std::is_same_v<Field, std::string>) {
    const std::vector<std::string> words = words_of(name);
    if (words.empty() || std::ranges::find(words, value) != words.end()) return;
    fail("[train] {}: expected {}, found \"{}\"", flag_of(name), describe(words), value);
  } else if constexpr (!std::is_same_v<Field, bool>) {
    const auto range = std::ranges::find(kRanges, name, &Range::name);
    if (range == kRanges.end() || holds(*range, static_cast<double>(value))) return;
    fail("[train] {}: expected {}, found {}", flag_of(name), describe(*range), value);
  }
}

void check_fields(const Recipe& recipe) {
  visit_fields([&](const char* name, auto member) { check_field(name, recipe.*member); });
  if (recipe.min_lr > recipe.lr) {
    fail("[train] {}: expected at most --lr {}, found {}", flag_of("min_lr"), recipe.lr, recipe.min_lr);
  }
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
  if (name == "batch_size") return "--batch";  // as all commands call it
  std::string flag = "--" + std::string(name);
  std::ranges::replace(flag, '_', '-');
  return flag;
}

std::vector<std::string> words_of(std::string_view name) {
  if (name == "recipe") return {"tutorial", "finetune", "scratch"};
  if (name == "optimizer") return {"adam", "adamw", "muon", "sgd"};
  if (name == "adam_form") return {"torch", "keras"};
  if (name == "sched") return {"constant", "cosine"};
  if (name == "augment") return {"none", "flip", "randaug"};
  if (name == "freeze") return {"none", "stem", "levels", "all-but-head"};
  if (name == "window_mode") return {"exact", "fixed"};
  if (name == "preprocess") return {"auto", "keras", "keras-train", "timm", "nvlabs"};
  if (name == "dtype") return {"f32", "bf16"};
  return {};
}

std::string range_of(std::string_view name) {
  const auto range = std::ranges::find(kRanges, name, &Range::name);
  return range == kRanges.end() ? "" : describe(*range);
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
  check_fields(recipe);
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
