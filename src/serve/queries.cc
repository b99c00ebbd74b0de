// SPDX-License-Identifier: Apache-2.0
#include "serve/queries.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <system_error>

#include "explain/attention.h"
#include "explain/class_name.h"
#include "serve/fields.h"
#include "serve/refusal.h"

namespace gcvit::serve {
namespace {

constexpr std::uint64_t kMostTopK = 1'000'000;
constexpr std::int32_t kMostLevels = 4;
constexpr std::string_view kReason = "invalid_query";

std::int32_t number(std::string_view name, std::string_view text, std::int32_t lowest, std::int32_t highest) {
  const std::optional<std::uint64_t> value = parse_number(text);
  if (!value || *value < static_cast<std::uint64_t>(lowest) || *value > static_cast<std::uint64_t>(highest)) {
    if (highest == std::numeric_limits<std::int32_t>::max()) {
      refuse(400, kReason, "{}: expected a number from {}, found \"{}\"", name, lowest, text);
    }
    refuse(400, kReason, "{}: expected a number from {} to {}, found \"{}\"", name, lowest, highest, text);
  }
  return static_cast<std::int32_t>(*value);
}

/// A number that is counted from 0 and whose end the model knows.
std::int32_t index(std::string_view name, std::string_view text) {
  return number(name, text, 0, std::numeric_limits<std::int32_t>::max());
}

MapCell cell(std::string_view text) {
  const std::size_t comma = text.find(',');
  if (comma == std::string_view::npos) {
    refuse(400, kReason, "query: expected ROW,COLUMN, two numbers from 0, found \"{}\"", text);
  }
  return {.row = index("query: row", text.substr(0, comma)), .column = index("query: column", text.substr(comma + 1))};
}

/// Which of two words a parameter has: 0 or 1.
std::size_t choice(std::string_view name, std::string_view text, const std::array<std::string_view, 2>& words) {
  const auto found = std::ranges::find(words, text);
  if (found == words.end()) {
    refuse(400, kReason, "{}: expected {} or {}, found \"{}\"", name, words[0], words[1], text);
  }
  return static_cast<std::size_t>(found - words.begin());
}

float opacity(std::string_view text) {
  float value = -1;
  const char* const end = text.data() + text.size();
  const auto [parsed, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || parsed != end || !(value >= 0 && value <= 1)) {
    refuse(400, kReason, "opacity: expected a number from 0 to 1, found \"{}\"", text);
  }
  return value;
}

/// The value of a parameter, or nothing where there is none.
const std::string* find(const std::map<std::string, std::string>& query, const std::string& name) {
  const auto found = query.find(name);
  return found == query.end() ? nullptr : &found->second;
}

void check_names(const std::map<std::string, std::string>& query) {
  static constexpr std::array<std::string_view, 11> kNames = {"model", "method", "class",  "score",   "level",  "block",
                                                              "head",  "query",  "format", "colours", "opacity"};
  for (const auto& [name, value] : query) {
    if (std::ranges::count(kNames, name) == 0) {
      refuse(400, kReason, "URL: expected the parameters {}, found \"{}\"", fmt::join(kNames, ", "), name);
    }
  }
}

/// Throws where the query has a parameter that the method or the format doesn't know.
void check_fit(const std::map<std::string, std::string>& query, const ExplainQuery& asked) {
  struct Parameter {
    const char* name;
    bool known;
    std::string_view expected;
    std::string found;
  };
  const bool attention = asked.method == ExplainMethod::kAttention;
  const std::string method = fmt::format("method={}", name_of(asked.method));
  const Parameter parameters[] = {
      {"class", !attention, "method=grad-cam", method},   {"score", !attention, "method=grad-cam", method},
      {"block", attention, "method=attention", method},   {"head", attention, "method=attention", method},
      {"query", attention, "method=attention", method},   {"colours", asked.png, "format=png", "format=json"},
      {"opacity", asked.png, "format=png", "format=json"}};
  for (const Parameter& one : parameters) {
    if (one.known || find(query, one.name) == nullptr) continue;
    refuse(400, kReason, "{}: expected {}, found {}", one.name, one.expected, one.found);
  }
}

}  // namespace

ExplainMethod parse_method(std::string_view parameter, std::string_view text) {
  if (text == name_of(ExplainMethod::kGradCam)) return ExplainMethod::kGradCam;
  if (text == name_of(ExplainMethod::kAttention)) return ExplainMethod::kAttention;
  if (text == name_of(ExplainMethod::kOcclusion)) {
    refuse(400, kReason,
           "{}: expected grad-cam or attention, found occlusion, which takes a forward for each patch: `gcvit explain` "
           "has it",
           parameter);
  }
  refuse(400, kReason, "{}: expected grad-cam or attention, found \"{}\"", parameter, text);
}

ClassifyQuery classify_query(const std::map<std::string, std::string>& query) {
  ClassifyQuery result;
  for (const auto& [name, value] : query) {
    if (name == "model") {
      result.model = value;
    } else if (name == "top_k") {
      const std::optional<std::uint64_t> top_k = parse_number(value);
      if (!top_k || *top_k < 1 || *top_k > kMostTopK) {
        refuse(400, "invalid_query", "top_k: expected a number from 1 to {}, found \"{}\"", kMostTopK, value);
      }
      result.top_k = *top_k;
    } else if (name == "explain") {
      result.explain = parse_method("explain", value);
    } else {
      refuse(400, "invalid_query", "URL: expected the parameters top_k, model and explain, found \"{}\"", name);
    }
  }
  return result;
}

ExplainQuery explain_query(const std::map<std::string, std::string>& query) {
  check_names(query);
  ExplainQuery asked;
  if (const std::string* text = find(query, "model")) asked.model = *text;
  if (const std::string* text = find(query, "method")) asked.method = parse_method("method", *text);
  if (const std::string* text = find(query, "format")) asked.png = choice("format", *text, {"json", "png"}) == 1;
  check_fit(query, asked);
  if (const std::string* text = find(query, "class")) {
    if (text->empty()) refuse(400, kReason, "class: expected a class's name or index, found nothing");
    asked.target = *text;
  }
  if (const std::string* text = find(query, "score")) {
    asked.score = static_cast<ExplainedScore>(choice("score", *text, {"logit", "probability"}));
  }
  if (const std::string* text = find(query, "level")) {
    // Grad-CAM's level 0 is the map behind the final norm.
    asked.level = number("level", *text, asked.method == ExplainMethod::kGradCam ? 0 : 1, kMostLevels);
  }
  if (const std::string* text = find(query, "block")) asked.block = index("block", *text);
  if (const std::string* text = find(query, "head")) asked.head = index("head", *text);
  if (const std::string* text = find(query, "query")) asked.cell = cell(*text);
  if (const std::string* text = find(query, "colours")) {
    asked.overlay.colours = static_cast<ColourMap>(choice("colours", *text, {"viridis", "inferno"}));
  }
  if (const std::string* text = find(query, "opacity")) asked.overlay.opacity = opacity(*text);
  return asked;
}

ExplainOptions options_for(const ExplainQuery& query, const Model& model) {
  if (query.method == ExplainMethod::kAttention) {
    AttentionOptions options{.block = query.block, .head = query.head, .query = query.cell};
    if (query.level) options.level = *query.level;
    return explain::resolved(model, options);
  }
  GradCamOptions options{.score = query.score, .level = query.level.value_or(0), .keep_gradient_weights = true};
  if (!query.target.empty()) options.target = explain::class_of(model, query.target);
  return options;
}

FeatureQuery feature_query(const std::map<std::string, std::string>& query) {
  static constexpr std::array kFeatures = {Feature::kLevel1, Feature::kLevel2,   Feature::kLevel3,
                                           Feature::kLevel4, Feature::kFeatures, Feature::kPooled};
  FeatureQuery asked;
  for (const auto& [name, value] : query) {
    if (name == "model") {
      asked.model = value;
    } else if (name == "feature") {
      const auto found = std::ranges::find(kFeatures, value, [](Feature one) { return std::string(name_of(one)); });
      if (found == kFeatures.end()) {
        refuse(400, kReason, "feature: expected pooled, features or level1 to level4, found \"{}\"", value);
      }
      asked.feature = *found;
    } else {
      refuse(400, kReason, "URL: expected the parameters model and feature, found \"{}\"", name);
    }
  }
  return asked;
}

}  // namespace gcvit::serve
