// SPDX-License-Identifier: Apache-2.0
#include "weights/timm_config.h"

#include <system_error>
#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "formats/in_quotes.h"

namespace gcvit::weights {
namespace {

constexpr std::string_view kArea = "weights";
constexpr std::string_view kFamily = "gcvit";
constexpr std::int32_t kMostClasses = 1'000'000;

/// A member that is there and not null.
std::optional<JsonPlace> member(const JsonPlace& place, std::string_view name) {
  if (!place.has(name)) return std::nullopt;
  JsonPlace found = place.key(name);
  if (found.value().is_null()) return std::nullopt;
  return found;
}

/// `expected`, or nothing.
void expect_text(const JsonPlace& place, std::string_view name, std::string_view expected) {
  const std::optional<JsonPlace> found = member(place, name);
  if (found && found->text() != expected) {
    fail("[weights] {}: expected {}, found {}: such a model is not computed here", found->path(),
         formats::in_quotes(expected), formats::in_quotes(found->text()));
  }
}

/// Names in the order of classes, of an array or an object that has them by number; empty names where an object has none.
std::vector<std::string> names_of(const JsonPlace& place) {
  if (place.value().is_array()) return place.texts();
  place.expect_object();
  std::vector<std::string> names;
  for (const auto& [key, value] : place.value().items()) {
    std::int32_t index = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
    if (error != std::errc{} || end != key.data() + key.size() || index < 0 || index >= kMostClasses) {
      fail("[weights] {}: expected classes' numbers, found {}", place.path(), formats::in_quotes(key));
    }
    if (names.size() <= static_cast<std::size_t>(index)) names.resize(static_cast<std::size_t>(index) + 1);
    names[static_cast<std::size_t>(index)] = place.key(key).text();
  }
  return names;
}

/// Transformers writes LABEL_0, LABEL_1, ... where nobody gave names.
bool are_placeholders(const std::vector<std::string>& names) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] != "LABEL_" + std::to_string(i)) return false;
  }
  return true;
}

nlohmann::json three_numbers(const JsonPlace& place) {
  place.expect_array(3);
  place.numbers_f32();
  return place.value();
}

/// timm's data_config as gcvit.preprocess has it. What isn't given is timm's default.
std::string preprocess_of(const JsonPlace& data) {
  nlohmann::ordered_json value = {{"preset", "timm"}};
  const std::optional<JsonPlace> crop = member(data, "crop_pct");
  value["crop_pct"] = crop && crop->number() != 0.0 ? crop->number() : 0.875;
  const std::optional<JsonPlace> mode = member(data, "crop_mode");
  const std::string crop_mode = mode ? mode->text() : "center";
  value["squash"] = crop_mode == "squash";
  if (crop_mode != "squash" && crop_mode != "center") value["crop_mode"] = crop_mode;
  if (const auto interpolation = member(data, "interpolation")) value["interpolation"] = interpolation->text();
  if (const auto mean = member(data, "mean")) value["mean"] = three_numbers(*mean);
  if (const auto deviation = member(data, "std")) value["std"] = three_numbers(*deviation);
  return value.dump();
}

void read_input_size(TimmConfig& config, const JsonPlace& place) {
  place.expect_array(3);
  if (place.element(0).integer<std::int32_t>() != 3) place.expected("3 channels, height and width");
  config.image_size =
      model::ImageSize{place.element(1).integer<std::int32_t>(), place.element(2).integer<std::int32_t>()};
}

void read_arguments(TimmConfig& config, const JsonPlace& place) {
  place.expect_object();
  config.has_arguments = place.value().size() > 0;
  expect_text(place, "act_layer", "gelu");
  expect_text(place, "norm_layer", "layernorm2d");
  expect_text(place, "norm_layer_cl", "layernorm");
  expect_text(place, "global_pool", "avg");
  if (const auto epsilon = member(place, "norm_eps"); epsilon && epsilon->number() != 1e-5) {
    fail("[weights] {}: expected 1e-05, found {}: such a model is not computed here", epsilon->path(),
         epsilon->number());
  }
  if (const auto dim = member(place, "embed_dim")) config.dim = dim->integer<std::int32_t>();
}

TimmConfig read_config(const JsonPlace& root, std::string architecture) {
  TimmConfig config;
  config.architecture = std::move(architecture);
  expect_text(root, "global_pool", "avg");
  if (const auto arguments = member(root, "model_args")) read_arguments(config, *arguments);
  const std::optional<JsonPlace> nested = member(root, "pretrained_cfg");
  const JsonPlace& data = nested ? *nested : root;
  data.expect_object();
  if (const auto size = member(data, "input_size")) read_input_size(config, *size);
  config.preprocess_json = preprocess_of(data);

  for (const JsonPlace* const place : {&root, &data}) {
    if (const auto classes = member(*place, "num_classes"); classes && !config.classes) {
      config.classes = classes->integer<std::int32_t>();
    }
    for (const char* key : {"label_names", "labels", "id2label"}) {
      const auto names = member(*place, key);
      if (!names || !config.class_names.empty()) continue;
      config.class_names = names_of(*names);
      config.names_key = key;
      if (names->value().is_object()) {
        const auto first = std::ranges::find_if(config.class_names, [](const auto& name) { return !name.empty(); });
        config.first_name = static_cast<std::int32_t>(first - config.class_names.begin());
      }
    }
  }
  if (config.classes == 0) config.classes.reset();  // features without a head
  if (are_placeholders(config.class_names)) config.class_names.clear();
  for (std::size_t i = 0; i < config.class_names.size(); ++i) {
    if (config.class_names[i].empty()) config.class_names[i] = "class " + std::to_string(i);
  }
  return config;
}

/// The variant of an architecture's name, "xxtiny" of "gcvit_xxtiny.in1k".
std::string_view variant_of(std::string_view architecture) {
  architecture = architecture.substr(0, architecture.find('.'));
  architecture.remove_prefix(std::min(kFamily.size() + 1, architecture.size()));
  return architecture;
}

}  // namespace

std::optional<TimmConfig> parse_timm_config(std::string_view text, const std::string& file) {
  std::optional<TimmConfig> config;
  read_json(text, kArea, file,
            [&](const JsonPlace& root) {
              const std::optional<JsonPlace> architecture =
                  root.value().is_object() ? member(root, "architecture") : std::nullopt;
              if (!architecture || !architecture->value().is_string()) return;
              const std::string name = architecture->text();
              if (!name.starts_with(kFamily)) {
                fail("[weights] {}: expected a GCViT, as \"gcvit_xxtiny\", found {}", architecture->path(),
                     formats::in_quotes(name));
              }
              config = read_config(root, name);
            },
            {.bytes = kMaximalTimmConfig, .values = std::size_t{1} << 17});
  return config;
}

bool fits(const TimmConfig& config, const model::GCViTConfig& model) {
  if (config.classes && *config.classes != model.classes) return false;
  if (config.image_size && *config.image_size != model::ImageSize{model.image_height, model.image_width}) return false;
  if (config.dim) return *config.dim == model.dim;
  const std::string_view name = variant_of(config.architecture);
  const auto published = std::ranges::find(model::variants(), name, &model::Variant::name);
  if (published == model::variants().end()) return true;
  return name == model::variant_name(model) || (config.has_arguments && published->config.dim == model.dim);
}

}  // namespace gcvit::weights
