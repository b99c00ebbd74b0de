// SPDX-License-Identifier: Apache-2.0
#include "classifier/preprocessing.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "model/config.h"
#include "tensor/error.h"

namespace gcvit::classifier {
namespace {

using nlohmann::json;

/// The member `name` of the file's gcvit.preprocess as a T; nothing when it isn't there.
template <typename T>
std::optional<T> member(const json& root, const char* name, std::string_view expected, std::string_view file) {
  const auto found = root.find(name);
  if (found == root.end()) return std::nullopt;
  try {
    return found->get<T>();
  } catch (const json::exception&) {
    fail("[model] {}: gcvit.preprocess: {}: expected {}, found {}", file, name, expected, found->type_name());
  }
}

image::PreprocessConfig from_metadata(const weights::ModelInfo& info, std::string_view file) {
  // The reader of the file has made sure that this is an object.
  const json root = json::parse(info.preprocess_json);
  const auto name = member<std::string>(root, "preset", "a text", file);
  if (!name) fail("[model] {}: gcvit.preprocess: expected a preset, found none", file);
  const std::optional<image::Preset> preset = image::preset_named(*name);
  if (!preset) fail("[model] {}: gcvit.preprocess: unknown preset \"{}\"", file, *name);
  const model::GCViTConfig& config = info.config;
  image::PreprocessConfig result =
      image::make_preprocess_config(*preset, model::variant_name(config), config.image_height, config.image_width);
  using Size = std::array<std::int64_t, 2>;
  if (const auto size = member<Size>(root, "image_size", "[height, width]", file);
      size && *size != Size{config.image_height, config.image_width}) {
    fail("[model] {}: gcvit.preprocess: image_size: expected {}x{} as in gcvit.config, found {}x{}", file,
         config.image_height, config.image_width, (*size)[0], (*size)[1]);
  }
  using Channels = std::array<float, 3>;
  result.crop_pct = member<double>(root, "crop_pct", "a number", file).value_or(result.crop_pct);
  result.squash = member<bool>(root, "squash", "true or false", file).value_or(result.squash);
  result.mean = member<Channels>(root, "mean", "three numbers", file).value_or(result.mean);
  result.std = member<Channels>(root, "std", "three numbers", file).value_or(result.std);
  try {
    image::check(result);
  } catch (const Error& error) {
    fail("[model] {}: gcvit.preprocess: {}", file, error.what());
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

std::string to_json(const image::PreprocessConfig& config) {
  nlohmann::ordered_json value = {{"preset", image::to_string(config.preset)},
                                  {"image_size", {config.height, config.width}}};
  if (config.preset == image::Preset::kTimm || config.preset == image::Preset::kNvlabs) {
    value["crop_pct"] = config.crop_pct;
    value["squash"] = config.squash;
  }
  value["mean"] = json::parse(fmt::format("[{}]", fmt::join(config.mean, ", ")));
  value["std"] = json::parse(fmt::format("[{}]", fmt::join(config.std, ", ")));
  return value.dump();
}

}  // namespace gcvit::classifier
