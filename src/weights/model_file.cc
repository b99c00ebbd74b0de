// SPDX-License-Identifier: Apache-2.0
#include "weights/model_file.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/counted.h"
#include "base/error.h"
#include "base/json.h"
#include "base/json_events.h"
#include "base/printable.h"
#include "formats/in_quotes.h"

namespace gcvit::weights {
namespace {

using nlohmann::json;
using Metadata = std::map<std::string, std::string>;

constexpr std::string_view kArea = "model";
constexpr std::size_t kLongestNames = std::size_t{32} << 20;  // of gcvit.classes: a million
constexpr std::size_t kLongestShown = 96;
constexpr std::size_t kLongestValue = std::size_t{1} << 16;   // of all else

std::int32_t integer(const JsonPlace& place) {
  if (place.value().is_number_integer() && place.value() >= 0 && place.value() <= INT32_MAX) {
    return place.integer<std::int32_t>();
  }
  place.expected("a positive integer");
}

/// [height, width], or one number for both.
ops::Window size_of(const JsonPlace& place) {
  if (place.value().is_number()) return {integer(place), integer(place)};
  place.expect_array(2);
  return {integer(place.element(0)), integer(place.element(1))};
}

void check_format(const Metadata& metadata, const std::string& file) {
  if (!metadata.contains("gcvit.format")) {
    fail("[model] {}: gcvit.format: expected 1 or {}, found none", file, kModelFormat);
  }
  read_json(metadata.at("gcvit.format"), kArea, file + ": gcvit.format", [&](const JsonPlace& format) {
    const std::string text = format.value().is_string() ? format.text() : std::to_string(integer(format));
    if (text != "1" && text != std::to_string(kModelFormat)) {
      fail("[model] {}: the file's format is {}: this program reads formats 1 and {}; a newer one may read it", file,
           formats::in_quotes(text), kModelFormat);
    }
  });
}

model::GCViTConfig parse_config(const JsonPlace& root) {
  model::GCViTConfig config;
  config.dim = integer(root.key("dim"));
  const auto levels = static_cast<std::size_t>(model::kLevels);
  root.key("depths").expect_array(levels);
  root.key("heads").expect_array(levels);
  root.key("windows").expect_array(levels);
  for (std::size_t l = 0; l < levels; ++l) {
    config.depths[l] = integer(root.key("depths").element(l));
    config.heads[l] = integer(root.key("heads").element(l));
    config.windows[l] = size_of(root.key("windows").element(l));
  }
  config.mlp_ratio = root.key("mlp_ratio").number();
  config.layer_scale = root.key("layer_scale").boolean();
  config.classes = integer(root.key("classes"));
  const ops::Window image = size_of(root.key("image_size"));
  config.image_height = image.height;
  config.image_width = image.width;
  if (root.has("native_image_size")) {
    const ops::Window native = size_of(root.key("native_image_size"));
    config.native_image = model::ImageSize{native.height, native.width};
  }
  if (root.has("squeeze_divisor")) config.squeeze_divisor = integer(root.key("squeeze_divisor"));
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
    fail("[model] {}: {}", root.path(), formats::without_area(error.what()));
  }
  return config;
}

/// The texts of an array, one by one: a million of them as JSON values would take four times the memory.
class NamesReader : public JsonEvents {
 public:
  NamesReader(std::string place, std::size_t most) : JsonEvents(kArea, std::move(place)), most_(most) {}

  std::vector<std::string> names;

  bool string(std::string& text) override {
    if (!open_) unexpected('"' + text + '"');
    if (names.size() == most_) fail("[model] {}: expected at most {} values, found more", place(), most_);
    names.emplace_back(std::string_view(text));  // its own buffer has room for more
    return true;
  }
  bool start_array(std::size_t) override {
    if (open_) unexpected("an array");
    return open_ = true;
  }
  bool end_array() override { return true; }
  bool start_object(std::size_t) override { return unexpected("an object"); }
  bool end_object() override { return true; }
  bool key(std::string&) override { return true; }
  bool null() override { return unexpected("null"); }
  bool boolean(bool value) override { return unexpected(value ? "true" : "false"); }
  bool number_integer(std::int64_t number) override { return unexpected(std::to_string(number)); }
  bool number_unsigned(std::uint64_t number) override { return unexpected(std::to_string(number)); }
  bool number_float(double number, const std::string&) override { return unexpected(fmt::format("{}", number)); }

 private:
  bool unexpected(std::string_view found) const {
    if (!open_) fail("[model] {}: expected an array of texts, found {}", place(), shortened(found, kLongestShown));
    fail("[model] {}[{}]: expected a text, found {}", place(), names.size(), shortened(found, kLongestShown));
  }

  std::size_t most_;
  bool open_ = false;
};

std::vector<std::string> parse_names(std::string_view text, std::size_t count, const std::string& place) {
  if (text.size() > kLongestNames) {
    fail("[model] {}: expected at most {} bytes, found {}", place, kLongestNames, text.size());
  }
  NamesReader reader(place, count);
  // An array of n texts has 3 n bytes or more, so this is no number that the file merely claims.
  reader.names.reserve(std::min(count, text.size() / 3 + 1));
  read_json_events(text, reader);
  return std::move(reader.names);
}

/// A text that may be missing or null.
std::string optional_text(const JsonPlace& root, const char* key) {
  return root.has(key) && !root.key(key).value().is_null() ? root.key(key).text() : "";
}

}  // namespace

bool is_model_file(const Metadata& metadata) {
  return metadata.contains("gcvit.format") || metadata.contains("gcvit.config");
}

ModelInfo parse_model_info(const Metadata& metadata, const std::string& file) {
  check_format(metadata, file);
  if (!metadata.contains("gcvit.config")) fail("[model] {}: gcvit.config: expected an object, found none", file);
  /// Calls `use` with the value of a key that may be missing.
  const auto with = [&](const char* key, const auto& use) {
    if (!metadata.contains(key)) return;
    read_json(metadata.at(key), kArea, file + ": " + key, use, {.bytes = kLongestValue});
  };
  ModelInfo info;
  with("gcvit.config", [&](const JsonPlace& root) { info.config = parse_config(root); });
  if (const auto names = metadata.find("gcvit.classes"); names != metadata.end()) {
    info.classes = parse_names(names->second, static_cast<std::size_t>(info.config.classes), file + ": gcvit.classes");
  }
  if (!info.classes.empty() && info.classes.size() != static_cast<std::size_t>(info.config.classes)) {
    fail("[model] {}: gcvit.classes: expected {}, as gcvit.config says, found {}", file,
         counted(static_cast<std::uint64_t>(info.config.classes), "name"), info.classes.size());
  }
  with("gcvit.preprocess", [&](const JsonPlace& root) {
    root.expect_object();
    info.preprocess_json = metadata.at("gcvit.preprocess");
  });
  with("gcvit.source", [&](const JsonPlace& root) {
    root.expect_object();
    info.origin =
        ModelOrigin{.format = optional_text(root, "format"),
                    .layout = optional_text(root, "layout"),
                    .sha256 = optional_text(root, "sha256"),
                    .keras_example_bias = root.has("keras_example_bias") && root.key("keras_example_bias").boolean()};
  });
  with("gcvit.calibration", [&](const JsonPlace& root) {
    const double temperature = root.key("temperature").number();
    if (!(temperature > 0.0 && std::isfinite(temperature))) root.key("temperature").expected("a number over 0");
    info.temperature = temperature;
  });
  with("gcvit.quantization", [&](const JsonPlace& root) {
    root.expect_object();
    info.quantisation_json = metadata.at("gcvit.quantization");
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

Metadata serialise_model_info(const ModelInfo& info, int format) {
  try {
    Metadata metadata;
    metadata["gcvit.format"] = std::to_string(format);
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
    if (!info.quantisation_json.empty()) metadata["gcvit.quantization"] = info.quantisation_json;
    return metadata;
  } catch (const json::exception&) {
    fail("[model] a class name is not UTF-8");
  }
}

}  // namespace gcvit::weights
