// SPDX-License-Identifier: Apache-2.0
// Which request is for what: the one table of routes, of which the OpenAPI document is made too.
#pragma once

#include <cstdint>
#include <initializer_list>
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

/// What a listener offers or doesn't; every listener offers health.
enum class RouteGroup : std::uint8_t { kHealth, kInference, kMetrics, kExplain, kPage };

class RouteGroups {
 public:
  constexpr RouteGroups(std::initializer_list<RouteGroup> groups) {
    for (const RouteGroup group : groups) add(group);
  }
  static constexpr RouteGroups all() {
    RouteGroups groups{};
    groups.bits_ = ~std::uint32_t{0};
    return groups;
  }

  constexpr bool contains(RouteGroup group) const { return (bits_ & bit(group)) != 0; }
  constexpr void add(RouteGroup group) { bits_ |= bit(group); }
  constexpr void remove(RouteGroup group) { bits_ &= ~bit(group) | bit(RouteGroup::kHealth); }
  friend constexpr bool operator==(const RouteGroups&, const RouteGroups&) = default;

 private:
  static constexpr std::uint32_t bit(RouteGroup group) { return std::uint32_t{1} << static_cast<unsigned>(group); }

  std::uint32_t bits_ = bit(RouteGroup::kHealth);
};

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
  RouteGroups offered = RouteGroups::all();  ///< by the listener that was asked
};

/// Throws `Refusal`: as `parse_target` does, 404 where there is no such path or it isn't among those `offered`, 405 with Allow where it has
/// another method.
Route route(std::string_view method, std::string_view target, RouteGroups offered = RouteGroups::all());

/// The OpenAPI 3.1 document of the routes that are offered, as JSON. `version` is the program's.
std::string openapi_document(std::string_view version, RouteGroups offered = RouteGroups::all());

}  // namespace gcvit::serve
