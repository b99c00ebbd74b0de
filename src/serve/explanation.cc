// SPDX-License-Identifier: Apache-2.0
#include "serve/explanation.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/memory.h"
#include "explain/overlay.h"
#include "image/encode.h"
#include "inference/memory_need.h"
#include "inference/model_state.h"
#include "inference/preparation.h"
#include "inference/session_state.h"
#include "serve/base64.h"
#include "serve/refusal.h"

namespace gcvit::serve {
namespace {

using Json = nlohmann::ordered_json;

std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

/// Of all numbers that read back as the same float the one with the shortest text, as which JSON then has it.
double shortest(float value) {
  const std::string text = fmt::format("{}", value);
  double number = value;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

/// [0.1,2]: of each number the shortest text that reads back as the same float.
void append_floats(std::string& text, std::span<const float> values) {
  text.reserve(text.size() + 12 * values.size());
  text.push_back('[');
  for (std::size_t i = 0; i < values.size(); ++i) {
    fmt::format_to(std::back_inserter(text), "{}{}", i == 0 ? "" : ",", values[i]);
  }
  text.push_back(']');
}

/// Attention, and going backward, take memory that classifying doesn't.
void check_memory_of(const Model& model) {
  const Model::State& state = model.state();
  try {
    check_memory(inference::MemoryNeed(*state.model).of_explanation(model.threads()), state.options.max_memory,
                 "an explanation");
  } catch (const Error& error) {
    throw Refusal(503, "memory", error.what());
  }
}

/// Everything that the caller chose was checked before: what is still wrong are logits that aren't finite.
template <typename Compute>
auto computed(Compute&& compute) {
  try {
    return compute();
  } catch (const Refusal&) {
    throw;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidArgument) throw;
    throw Refusal(500, "not_finite", error.what());
  }
}

Explanation explain_tensor(Explainer& explainer, std::span<const float> tensor, ExplainOptions options,
                           const std::stop_token& stop) {
  if (auto* const grad_cam = std::get_if<GradCamOptions>(&options)) {
    if (grad_cam->level > 0) check_memory_of(explainer.model());
    grad_cam->stop = stop;
    return explainer.grad_cam(tensor, *grad_cam);
  }
  check_memory_of(explainer.model());
  auto& attention = std::get<AttentionOptions>(options);
  attention.stop = stop;
  return explainer.attention(tensor, attention);
}

/// All that answers have but for the map.
Json summary(const PhotoExplanation& explained) {
  const Explanation& why = explained.explanation;
  Json json = {{"method", name_of(why.method)}, {"level", why.level}};
  if (const auto* const attention = std::get_if<AttentionOptions>(&explained.options)) {
    if (attention->block) json["block"] = *attention->block;
    if (attention->head) json["head"] = *attention->head;
    if (attention->query) json["query"] = {attention->query->row, attention->query->column};
  }
  if (why.index >= 0) {
    json["index"] = why.index;
    json["label"] = why.label;
    json["score"] = shortest(why.score);
    json["score_is"] = name_of(why.of);
  }
  json["range"] = {shortest(why.lowest), shortest(why.highest)};
  json["empty"] = !explain::has_evidence(why);
  json["photo"] = {{"height", explained.photo.height}, {"width", explained.photo.width}};
  json["seen"] = {{"left", explained.seen.left},
                  {"top", explained.seen.top},
                  {"width", explained.seen.width},
                  {"height", explained.seen.height}};
  return json;
}

}  // namespace

PhotoExplanation explain_photo(Explainer& explainer, const Image& photo, const ExplainOptions& options,
                               const std::stop_token& stop) {
  Session& session = explainer.session();
  const inference::Preparation& preparation = session.state().preparation;
  PhotoExplanation explained{
      .explanation = {}, .options = options, .photo = inference::decode(photo, preparation.decode), .seen = {}};
  std::vector<float> tensor(session.tensor_size());
  image::preprocess(explained.photo, preparation.preprocess, tensor, session.state().scratch);
  explained.seen = image::seen_area(explained.photo.height, explained.photo.width, preparation.preprocess);
  explained.explanation = computed([&] { return explain_tensor(explainer, tensor, options, stop); });
  return explained;
}

std::string overlay_of(const PhotoExplanation& explained, const OverlayOptions& options) {
  return image::encode_png(explain::overlay(explained.photo, explained.seen, {&explained.explanation, 1}, options));
}

std::string explanation_with_overlay_json(const PhotoExplanation& explained) {
  Json json = summary(explained);
  json["overlay"] = encode_base64(overlay_of(explained, {}));
  return text_of(json);
}

std::string explanation_json(const PhotoExplanation& explained, std::string_view model_name, double milliseconds) {
  Json json = summary(explained);
  json["model"] = model_name;
  json["milliseconds"] = milliseconds;
  const HeatMap& map = explained.explanation.map;
  std::string text = text_of(json);
  text.pop_back();
  text += fmt::format(R"(,"map":{{"height":{},"width":{},"values":)", map.height, map.width);
  append_floats(text, map.values);
  return text + "}}";
}

std::string features_json(Feature feature, const ValueShape& shape, std::span<const float> values,
                          std::string_view model_name, double milliseconds) {
  const auto wrong = std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
  if (wrong != values.end()) {
    refuse(500, "not_finite", "{}: feature {}: expected finite values, found {} at {}", model_name, name_of(feature),
           *wrong, wrong - values.begin());
  }
  Json json = {{"feature", name_of(feature)}};
  json["shape"] = feature == Feature::kPooled ? Json{shape.channels} : Json{shape.height, shape.width, shape.channels};
  json["model"] = model_name;
  json["milliseconds"] = milliseconds;
  std::string text = text_of(json);
  text.pop_back();
  text += R"(,"values":)";
  append_floats(text, values);
  return text + "}";
}

}  // namespace gcvit::serve
