// SPDX-License-Identifier: Apache-2.0
// What the queries of requests about photos ask.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "gcvit/explain.h"
#include "gcvit/overlay.h"
#include "gcvit/session.h"

namespace gcvit::serve {

struct ClassifyQuery {
  std::uint64_t top_k = 5;
  std::string model;  ///< empty for the first one
  std::optional<ExplainMethod> explain;
};

/// Throws `Refusal` 400 for a parameter that there isn't, or whose value is out of its range.
ClassifyQuery classify_query(const std::map<std::string, std::string>& query);

struct ExplainQuery {
  std::string model;  ///< empty for the first one
  ExplainMethod method = ExplainMethod::kGradCam;
  std::string target;  ///< a class by its name or index; empty for the most probable one
  ExplainedScore score = ExplainedScore::kLogit;
  std::optional<std::int32_t> level;
  std::optional<std::int32_t> block;
  std::optional<std::int32_t> head;
  std::optional<MapCell> cell;  ///< the parameter "query"
  bool png = false;
  OverlayOptions overlay;
};

/// "grad-cam" or "attention", the value of `parameter`. Throws `Refusal` 400 for another method: occlusion takes a forward for each patch.
ExplainMethod parse_method(std::string_view parameter, std::string_view text);

/// Throws `Refusal` 400 for a parameter that there isn't, that the method or format doesn't know, or whose value is out of its range
/// whatever the model.
ExplainQuery explain_query(const std::map<std::string, std::string>& query);

/// How a model is to be asked for it.
using ExplainOptions = std::variant<GradCamOptions, AttentionOptions>;

/// Throws `Error` where the query names a class, block, head or cell that the model hasn't.
ExplainOptions options_for(const ExplainQuery& query, const Model& model);

struct FeatureQuery {
  std::string model;
  Feature feature = Feature::kPooled;
};

/// Throws `Refusal` 400.
FeatureQuery feature_query(const std::map<std::string, std::string>& query);

}  // namespace gcvit::serve
