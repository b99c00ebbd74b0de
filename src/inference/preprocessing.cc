// SPDX-License-Identifier: Apache-2.0
#include "inference/preprocessing.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "model/config.h"
#include "base/error.h"
#include "base/json.h"
#include "formats/in_quotes.h"

namespace gcvit::inference {
namespace {

std::array<float, 3> three_numbers(const JsonPlace& place) {
  place.expect_array(3);
  const std::vector<float> numbers = place.numbers_f32();
  return {numbers[0], numbers[1], numbers[2]};
}

image::Filter filter_of(const JsonPlace& place) {
  for (const image::Filter filter : {image::Filter::kBicubic, image::Filter::kBilinear}) {
    if (place.text() == image::to_string(filter)) return filter;
  }
  place.expected("\"bicubic\" or \"bilinear\"");
}

image::PreprocessConfig from_metadata(const weights::ModelInfo& info, std::string_view file) {
  image::PreprocessConfig result;
  const std::string place =
      info.source.preprocess.empty() ? fmt::format("{}: gcvit.preprocess", file) : info.source.preprocess;
  read_json(info.preprocess_json, "model", place, [&](const JsonPlace& root) {
    if (!root.has("preset")) fail("[model] {}: expected a preset, found none", place);
    const std::string name = root.key("preset").text();
    const std::optional<image::Preset> preset = image::preset_named(name);
    if (!preset) fail("[model] {}: unknown preset \"{}\"", place, name);
    const model::GCViTConfig& config = info.config;
    result =
        image::make_preprocess_config(*preset, model::variant_name(config), config.image_height, config.image_width);
    if (root.has("image_size")) {
      const JsonPlace size = root.key("image_size");
      size.expect_array(2);
      const auto height = size.element(0).integer<std::int64_t>();
      const auto width = size.element(1).integer<std::int64_t>();
      if (height != config.image_height || width != config.image_width) {
        fail("[model] {}: expected {}x{} as in gcvit.config, found {}x{}", size.path(), config.image_height,
             config.image_width, height, width);
      }
    }
    if (root.has("crop_pct")) result.crop_pct = root.key("crop_pct").number();
    if (root.has("squash")) result.squash = root.key("squash").boolean();
    if (root.has("interpolation")) result.interpolation = filter_of(root.key("interpolation"));
    if (root.has("crop_mode")) root.key("crop_mode").expected("\"center\" or \"squash\"");
    if (root.has("mean")) result.mean = three_numbers(root.key("mean"));
    if (root.has("std")) result.std = three_numbers(root.key("std"));
  });
  try {
    image::check(result);
  } catch (const Error& error) {
    fail("[model] {}: {}", place, formats::without_area(error.what()));
  }
  return result;
}

image::Preset preset_by_source(const weights::ModelInfo& info) {
  const std::string& layout = info.origin ? info.origin->layout : info.source.layout;
  if (layout == "keras") return image::Preset::kKeras;
  if (layout == "nvlabs") return image::Preset::kNvlabs;
  return image::Preset::kTimm;
}

}  // namespace

image::Preset parse_preset(std::string_view name) {
  const std::optional<image::Preset> preset = image::preset_named(name);
  if (!preset) fail("[preprocess] expected auto, keras, keras-train, timm or nvlabs, found \"{}\"", name);
  return *preset;
}

image::PreprocessConfig preprocessing_of(const weights::ModelInfo& info, std::string_view preset,
                                         std::string_view file) {
  const bool automatic = preset == "auto";
  if (automatic && !info.preprocess_json.empty()) return from_metadata(info, file);
  const model::GCViTConfig& config = info.config;
  return image::make_preprocess_config(automatic ? preset_by_source(info) : parse_preset(preset),
                                       model::variant_name(config), config.image_height, config.image_width);
}

image::PreprocessConfig preprocessing_of(const weights::ModelInfo& info, Preset preset, std::string_view file) {
  return preprocessing_of(info, name_of(preset), file);
}

std::string to_json(const image::PreprocessConfig& config) {
  nlohmann::ordered_json value = {{"preset", image::to_string(config.preset)},
                                  {"image_size", {config.height, config.width}}};
  if (config.preset == image::Preset::kTimm || config.preset == image::Preset::kNvlabs) {
    value["crop_pct"] = config.crop_pct;
    value["squash"] = config.squash;
    if (config.interpolation != image::Filter::kBicubic)
      value["interpolation"] = image::to_string(config.interpolation);
  }
  value["mean"] = nlohmann::json::parse(fmt::format("[{}]", fmt::join(config.mean, ", ")));
  value["std"] = nlohmann::json::parse(fmt::format("[{}]", fmt::join(config.std, ", ")));
  return value.dump();
}

}  // namespace gcvit::inference
