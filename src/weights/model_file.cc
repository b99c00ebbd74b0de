// SPDX-License-Identifier: Apache-2.0
#include "weights/model_file.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "tensor/error.h"
#include "weights/in_quotes.h"

namespace gcvit::weights {
namespace {

using nlohmann::json;
using Metadata = std::map<std::string, std::string>;

constexpr std::size_t kLongestNames = 32 << 20;  // of gcvit.classes: a million
constexpr std::size_t kLongestValue = 1 << 16;   // of all else
constexpr int kDeepestValue = 16;

/// A JSON value with its way from the file down to it, for sentences.
struct Place {
  const json& value;
  std::string path;  ///< "m.safetensors: gcvit.config: heads"

  /// "expected X, found Y"
  [[noreturn]] void expected(std::string_view what) const {
    const bool shown = value.is_primitive() && !value.is_string();
    fail("[model] {}: expected {}, found {}", path, what,
         value.is_string()  ? in_quotes(value.get_ref<const std::string&>())
         : shown            ? value.dump()
         : value.is_array() ? fmt::format("an array of {}", value.size())
                            : "an object");
  }

  Place key(const char* name) const {
    if (!value.is_object()) expected("an object");
    const auto found = value.find(name);
    if (found == value.end()) fail("[model] {}: expected a key \"{}\", found none", path, name);
    return {*found, path + ": " + name};
  }

  bool has(const char* name) const { return value.is_object() && value.contains(name); }

  Place element(std::size_t index) const { return {value.at(index), fmt::format("{}[{}]", path, index)}; }

  void expect_array(std::size_t size) const {
    if (!value.is_array() || value.size() != size) expected(fmt::format("an array of {}", size));
  }

  std::int32_t integer() const {
    if (!value.is_number_integer() || value < 0 || value > INT32_MAX) expected("a positive integer");
    return value.get<std::int32_t>();
  }

  double number() const {
    if (!value.is_number()) expected("a number");
    return value.get<double>();
  }

  bool boolean() const {
    if (!value.is_boolean()) expected("true or false");
    return value.get<bool>();
  }

  std::string text() const {
    if (!value.is_string()) expected("a text");
    return value.get<std::string>();
  }

  /// [height, width], or one number for both.
  ops::Window size() const {
    if (value.is_number()) return {integer(), integer()};
    expect_array(2);
    return {element(0).integer(), element(1).integer()};
  }
};

/// A metadata value's JSON; the key is there.
json parse_json(const Metadata& metadata, const char* key, const std::string& file,
                std::size_t most_values = SIZE_MAX) {
  const std::string& text = metadata.at(key);
  const std::size_t longest = std::string_view(key) == "gcvit.classes" ? kLongestNames : kLongestValue;
  if (text.size() > longest) {
    fail("[model] {}: {}: expected at most {} bytes, found {}", file, key, longest, text.size());
  }
  std::size_t values = 0;
  const auto limit_depth = [&](int depth, json::parse_event_t event, json&) {
    if (depth > kDeepestValue) fail("[model] {}: {}: nested deeper than {}", file, key, kDeepestValue);
    if (event == json::parse_event_t::value && ++values > most_values) {
      fail("[model] {}: {}: expected {} values, as gcvit.config says, found more", file, key, most_values);
    }
    return true;
  };
  try {
    return json::parse(text, limit_depth);
  } catch (const json::parse_error& error) {
    fail("[model] {}: {}: not JSON at byte {}", file, key, error.byte);
  }
}

void check_format(const Metadata& metadata, const std::string& file) {
  if (!metadata.contains("gcvit.format")) {
    fail("[model] {}: gcvit.format: expected {}, found none", file, kModelFormat);
  }
  const json value = parse_json(metadata, "gcvit.format", file);
  const Place format{value, file + ": gcvit.format"};
  const std::string text = value.is_string() ? value.get<std::string>() : std::to_string(format.integer());
  if (text != std::to_string(kModelFormat)) {
    fail("[model] {}: the file's format is {}: this program reads format {}; a newer one may read it", file,
         in_quotes(text), kModelFormat);
  }
}

model::GCViTConfig parse_config(const Place& root) {
  model::GCViTConfig config;
  config.dim = root.key("dim").integer();
  const auto levels = static_cast<std::size_t>(model::kLevels);
  root.key("depths").expect_array(levels);
  root.key("heads").expect_array(levels);
  root.key("windows").expect_array(levels);
  for (std::size_t l = 0; l < levels; ++l) {
    config.depths[l] = root.key("depths").element(l).integer();
    config.heads[l] = root.key("heads").element(l).integer();
    config.windows[l] = root.key("windows").element(l).size();
  }
  config.mlp_ratio = root.key("mlp_ratio").number();
  config.layer_scale = root.key("layer_scale").boolean();
  config.classes = root.key("classes").integer();
  const ops::Window image = root.key("image_size").size();
  config.image_height = image.height;
  config.image_width = image.width;
  if (root.has("native_image_size")) {
    const ops::Window native = root.key("native_image_size").size();
    config.native_image = model::ImageSize{native.height, native.width};
  }
  if (root.has("squeeze_divisor")) config.squeeze_divisor = root.key("squeeze_divisor").integer();
  if (root.has("pool_padding")) {
    const std::string padding = root.key("pool_padding").text();
    if (padding != "neg_inf" && padding != "zero") root.key("pool_padding").expected("\"neg_inf\" or \"zero\"");
    config.pool_padding = padding == "zero" ? ops::PoolPadding::kZero : ops::PoolPadding::kNegativeInfinity;
  }
  if (root.has("head_activation")) {
    const std::string activation = root.key("head_activation").text();
    if (activation != "none" && activation != "softmax") {
      root.key("head_activation").expected("\"none\" or \"softmax\"");
    }
    config.head_activation = activation == "softmax" ? model::HeadActivation::kSoftmax : model::HeadActivation::kNone;
  }
  try {
    model::validate(config);
  } catch (const Error& error) {
    fail("[model] {}: {}", root.path, without_area(error.what()));
  }
  return config;
}

std::vector<std::string> parse_classes(const Place& root) {
  if (!root.value.is_array()) root.expected("an array of names");
  std::vector<std::string> classes;
  classes.reserve(root.value.size());
  for (std::size_t i = 0; i < root.value.size(); ++i) classes.push_back(root.element(i).text());
  return classes;
}

/// A text that may be missing or null.
std::string optional_text(const Place& root, const char* key) {
  return root.has(key) && !root.key(key).value.is_null() ? root.key(key).text() : "";
}

}  // namespace

bool is_model_file(const Metadata& metadata) {
  return metadata.contains("gcvit.format") || metadata.contains("gcvit.config");
}

ModelInfo parse_model_info(const Metadata& metadata, const std::string& file) {
  check_format(metadata, file);
  if (!metadata.contains("gcvit.config")) fail("[model] {}: gcvit.config: expected an object, found none", file);
  /// Calls `use` with the value of a key that may be missing.
  const auto with = [&](const char* key, const auto& use, std::size_t most_values = SIZE_MAX) {
    if (!metadata.contains(key)) return;
    const json value = parse_json(metadata, key, file, most_values);
    use(Place{value, file + ": " + key});
  };
  ModelInfo info;
  with("gcvit.config", [&](const Place& root) { info.config = parse_config(root); });
  with(
      "gcvit.classes", [&](const Place& root) { info.classes = parse_classes(root); },
      static_cast<std::size_t>(info.config.classes));
  if (!info.classes.empty() && info.classes.size() != static_cast<std::size_t>(info.config.classes)) {
    fail("[model] {}: gcvit.classes: expected {} names, as gcvit.config says, found {}", file, info.config.classes,
         info.classes.size());
  }
  with("gcvit.preprocess", [&](const Place& root) {
    if (!root.value.is_object()) root.expected("an object");
    info.preprocess_json = metadata.at("gcvit.preprocess");
  });
  with("gcvit.source", [&](const Place& root) {
    if (!root.value.is_object()) root.expected("an object");
    info.origin =
        ModelOrigin{.format = optional_text(root, "format"),
                    .layout = optional_text(root, "layout"),
                    .sha256 = optional_text(root, "sha256"),
                    .keras_example_bias = root.has("keras_example_bias") && root.key("keras_example_bias").boolean()};
  });
  with("gcvit.calibration", [&](const Place& root) {
    const double temperature = root.key("temperature").number();
    if (!(temperature > 0.0 && std::isfinite(temperature))) root.key("temperature").expected("a number over 0");
    info.temperature = temperature;
  });
  return info;
}

std::string serialise_config(const model::GCViTConfig& config) {
  nlohmann::ordered_json value;
  value["dim"] = config.dim;
  value["depths"] = config.depths;
  value["heads"] = config.heads;
  for (const ops::Window& window : config.windows) value["windows"].push_back({window.height, window.width});
  value["mlp_ratio"] = config.mlp_ratio;
  value["layer_scale"] = config.layer_scale;
  value["classes"] = config.classes;
  value["image_size"] = {config.image_height, config.image_width};
  if (config.native_image) value["native_image_size"] = {config.native_image->height, config.native_image->width};
  if (config.squeeze_divisor != 1) value["squeeze_divisor"] = config.squeeze_divisor;
  value["pool_padding"] = config.pool_padding == ops::PoolPadding::kZero ? "zero" : "neg_inf";
  value["head_activation"] = config.head_activation == model::HeadActivation::kSoftmax ? "softmax" : "none";
  return value.dump();
}

Metadata serialise_model_info(const ModelInfo& info) {
  try {
    Metadata metadata;
    metadata["gcvit.format"] = std::to_string(kModelFormat);
    metadata["gcvit.config"] = serialise_config(info.config);
    if (!info.classes.empty()) metadata["gcvit.classes"] = json(info.classes).dump();
    if (!info.preprocess_json.empty()) metadata["gcvit.preprocess"] = info.preprocess_json;
    if (info.origin) {
      nlohmann::ordered_json source = {{"format", info.origin->format}, {"layout", info.origin->layout}};
      if (!info.origin->sha256.empty()) source["sha256"] = info.origin->sha256;
      if (info.origin->keras_example_bias) source["keras_example_bias"] = true;
      metadata["gcvit.source"] = source.dump();
    }
    if (info.temperature) metadata["gcvit.calibration"] = json{{"temperature", *info.temperature}}.dump();
    return metadata;
  } catch (const json::exception&) {
    fail("[model] a class name is not UTF-8");
  }
}

}  // namespace gcvit::weights
