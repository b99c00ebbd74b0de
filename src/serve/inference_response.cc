// SPDX-License-Identifier: Apache-2.0
#include "serve/inference_response.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

namespace gcvit::serve {
namespace {

using Json = nlohmann::ordered_json;

std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

/// An output's values: floats, or texts of the datatype BYTES.
struct Values {
  std::vector<std::size_t> shape;
  std::vector<float> floats;
  std::vector<std::string> texts;
};

std::vector<std::string> largest(std::span<const float> values, std::size_t count, const Model& model) {
  std::vector<std::int32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::ranges::greater(),
                           [&](std::int32_t i) { return values[static_cast<std::size_t>(i)]; });
  std::vector<std::string> texts;
  for (const std::int32_t i : std::span(order).first(count)) {
    const auto index = static_cast<std::size_t>(i);
    texts.push_back(fmt::format("{}:{}:{}", values[index], i, model.labels()[index]));
  }
  return texts;
}

Values values_of(const RequestedOutput& requested, const Model& model, std::span<const std::vector<float>> logits) {
  const auto classes = static_cast<std::size_t>(model.classes());
  const std::size_t shown = std::min(static_cast<std::size_t>(requested.classes), classes);
  Values values;
  if (requested.output == Output::kLabels) {
    values.shape = {logits.size()};
    for (const std::vector<float>& one : logits) values.texts.push_back(model.predictions(one, 1).front().label);
    return values;
  }
  values.shape = {logits.size(), requested.classes > 0 ? shown : classes};
  for (const std::vector<float>& one : logits) {
    std::vector<float> numbers = one;
    if (requested.output == Output::kProbabilities) model.probabilities(one, numbers);
    if (requested.classes > 0) {
      std::ranges::move(largest(numbers, shown, model), std::back_inserter(values.texts));
    } else {
      values.floats.insert(values.floats.end(), numbers.begin(), numbers.end());
    }
  }
  return values;
}

void append_binary(std::string& bytes, const Values& values) {
  bytes.append(reinterpret_cast<const char*>(values.floats.data()), values.floats.size() * sizeof(float));
  for (const std::string& text : values.texts) {
    for (std::size_t i = 0; i < 4; ++i) bytes.push_back(static_cast<char>(text.size() >> (8 * i) & 0xff));
    bytes += text;
  }
}

}  // namespace

InferenceResponse inference_response(const InferenceRequest& request, std::string_view model_name, const Model& model,
                                     std::span<const std::vector<float>> logits) {
  Json json = {{"model_name", model_name}, {"model_version", "1"}};
  if (!request.id.empty()) json["id"] = request.id;
  json["outputs"] = Json::array();
  std::string binary;
  bool has_binary = false;
  for (const RequestedOutput& requested : request.outputs) {
    const Values values = values_of(requested, model, logits);
    const bool texts = requested.output == Output::kLabels || requested.classes > 0;
    Json output = {
        {"name", name_of(requested.output)}, {"datatype", texts ? "BYTES" : "FP32"}, {"shape", values.shape}};
    if (requested.binary) {
      const std::size_t before = binary.size();
      append_binary(binary, values);
      output["parameters"] = {{"binary_data_size", binary.size() - before}};
      has_binary = true;
    } else if (texts) {
      output["data"] = values.texts;
    } else {
      output["data"] = values.floats;
    }
    json["outputs"].push_back(std::move(output));
  }
  InferenceResponse response{.body = text_of(json), .json_bytes = {}};
  if (has_binary) response.json_bytes = response.body.size();
  response.body += binary;
  return response;
}

std::string classification_json(std::span<const Prediction> predictions, std::string_view model_name,
                                double milliseconds, std::string_view explanation) {
  Json json = {{"predictions", Json::array()}, {"model", model_name}, {"milliseconds", milliseconds}};
  for (const Prediction& one : predictions) {
    json["predictions"].push_back({{"index", one.index}, {"label", one.label}, {"probability", one.probability}});
  }
  std::string text = text_of(json);
  if (!explanation.empty()) text.replace(text.size() - 1, 1, fmt::format(R"(,"explanation":{}}})", explanation));
  return text;
}

std::string error_json(std::string_view sentence) { return text_of({{"error", sentence}}); }

std::string server_metadata_json(std::string_view version) {
  return text_of({{"name", "gcvit"}, {"version", version}, {"extensions", {"binary_tensor_data", "classification"}}});
}

std::string model_metadata_json(std::string_view model_name, const Model& model) {
  const auto tensor = [](std::string_view name, std::string_view datatype, const Json& shape) {
    return Json{{"name", name}, {"datatype", datatype}, {"shape", shape}};
  };
  Json json = {{"name", model_name}, {"versions", {"1"}}, {"platform", "gcvit"}};
  json["inputs"] = {tensor(kImageInput, "BYTES", {-1}), tensor(kPixelsInput, "UINT8", {-1, -1, -1, 3}),
                    tensor(kTensorInput, "FP32", {-1, model.image_height(), model.image_width(), 3})};
  json["outputs"] = {tensor(name_of(Output::kLogits), "FP32", {-1, model.classes()}),
                     tensor(name_of(Output::kProbabilities), "FP32", {-1, model.classes()}),
                     tensor(name_of(Output::kLabels), "BYTES", Json::array({-1}))};
  return text_of(json);
}

}  // namespace gcvit::serve
