// SPDX-License-Identifier: Apache-2.0
// Which request is for what: the one table of routes, of which the OpenAPI document is made too.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace gcvit::serve {

enum class Endpoint : std::uint8_t {
  kClassify,
  kModels,
  kExplain,
  kFeatures,
  kServerMetadata,
  kLive,
  kReady,
  kModelMetadata,
  kModelReady,
  kInfer,
  kMetrics,
  kOpenApi,
  kPage,
};

/// What a listener offers or doesn't.
enum class RouteGroup : std::uint8_t { kInference, kMetrics, kExplain, kPage };

struct RouteRow {
  Endpoint endpoint;
  RouteGroup group;
  std::string_view method;   ///< GET routes answer HEAD as well
  std::string_view pattern;  ///< "/v2/models/{model}/ready"
  std::string_view summary;
};

/// All routes.
std::span<const RouteRow> routes();

/// A request that has a route.
struct Route {
  const RouteRow* row = nullptr;
  std::string model;  ///< empty where the pattern has none
  std::string file;   ///< of the page; likewise
  std::map<std::string, std::string> query;
  bool explains = true;  ///< whether its listener offers explanations
};

/// Throws `Refusal`: as `parse_target` does, 404 where there is no such path, 405 with Allow where it has another method.
Route route(std::string_view method, std::string_view target);

/// The OpenAPI 3.1 document of all routes, as JSON. `version` is the program's.
std::string openapi_document(std::string_view version);

}  // namespace gcvit::serve
