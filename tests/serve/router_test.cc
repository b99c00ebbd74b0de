// SPDX-License-Identifier: Apache-2.0
#include "serve/router.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "serve/target.h"
#include "tests/serve/refused.h"

namespace gcvit::serve {
namespace {

using Path = std::vector<std::string>;

TEST(Target, IsDecoded) {
  EXPECT_EQ(parse_target("/").path, Path{});
  EXPECT_EQ(parse_target("/v2/models/a%20b").path, (Path{"v2", "models", "a b"}));
  EXPECT_EQ(parse_target("/a%2Fb/c+d").path, (Path{"a/b", "c+d"}));
  EXPECT_EQ(parse_target("http://host:80/v2?x=1").path, Path{"v2"});
  EXPECT_EQ(parse_target("http://host").path, Path{});
  EXPECT_EQ(parse_target("https://host?x=1").query.size(), 1u);
  EXPECT_EQ(authority_of("http://host:80/v2?x=http://b"), "host:80");
  EXPECT_EQ(authority_of("/http://host"), std::nullopt);
  const Target target = parse_target("/p?top_k=3&model=a+b%26c&&flag#x");
  EXPECT_EQ(target.query, (std::map<std::string, std::string>{{"top_k", "3"}, {"model", "a b&c"}, {"flag", ""}}));
}

TEST(Target, RefusesWhatIsNone) {
  EXPECT_EQ(refused([] { parse_target("v2"); }), "400 [serve] URL: expected a path that begins with /, found \"v2\"");
  EXPECT_EQ(refused([] { parse_target("/%4"); }),
            "400 [serve] URL: expected two hexadecimal digits behind %, found \"4\"");
  EXPECT_EQ(refused([] { parse_target("/%-1"); }),
            "400 [serve] URL: expected two hexadecimal digits behind %, found \"-1\"");
  EXPECT_EQ(refused([] { parse_target("/a%00"); }), "400 [serve] URL: expected no control characters, found one");
  EXPECT_EQ(refused([] { parse_target("/?a=1&a=2"); }),
            "400 [serve] URL: expected the parameter \"a\" once, found it twice");
  EXPECT_EQ(refused([] { parse_target("/" + std::string(2048, 'a')); }),
            "414 [serve] URL: expected at most 2048 bytes, found 2049");
}

TEST(Router, FindsEveryRoute) {
  for (const RouteRow& row : routes()) {
    std::string target(row.pattern);
    for (const auto& [name, value] :
         {std::pair("{model}", "flowers"), std::pair("{version}", "1"), std::pair("{file}", "app.js")}) {
      if (const std::size_t at = target.find(name); at != std::string::npos) {
        target.replace(at, std::string_view(name).size(), value);
      }
    }
    const Route found = route(row.method, target);
    EXPECT_EQ(found.row, &row) << target;
    EXPECT_EQ(found.model, row.pattern.find("{model}") == std::string_view::npos ? "" : "flowers") << target;
    EXPECT_EQ(found.file, row.pattern.find("{file}") == std::string_view::npos ? "" : "app.js") << target;
    if (row.method == "GET") {
      EXPECT_EQ(route("HEAD", target).row, &row) << target;
    }
    EXPECT_TRUE(refused([&] { route("DELETE", target); }).starts_with("405 ")) << target;
  }
}

TEST(Router, RefusesOtherPathsAndMethods) {
  EXPECT_EQ(refused([] { route("GET", "/v2/models?x=1"); }),
            "404 [serve] /v2/models: there is no such path; /openapi.json lists those that there are");
  EXPECT_EQ(refused([] { route("GET", "/v2/models/m/versions/2"); }).substr(0, 3), "404");
  EXPECT_EQ(refused([] { route("GET", "/v2/models/m/infer/more"); }).substr(0, 3), "404");
  EXPECT_EQ(refused([] { route("GET", "/v1/classify"); }), "405 [serve] /v1/classify: expected POST, found GET");
  try {
    route("POST", "/metrics");
    ADD_FAILURE();
  } catch (const Refusal& refusal) {
    EXPECT_EQ(refusal.field(), (std::pair<std::string, std::string>("Allow", "GET, HEAD")));
  }
}

TEST(Router, RefusesWhatTheListenerDoesNotOffer) {
  const RouteGroups offered = {RouteGroup::kMetrics};
  EXPECT_EQ(route("GET", "/metrics", offered).offered, offered);
  EXPECT_EQ(route("GET", "/v2/health/live", offered).row->group, RouteGroup::kHealth);
  EXPECT_EQ(refused([&] { route("GET", "/v2?x=1", offered); }),
            "404 [serve] /v2: this address doesn't offer this path");
  EXPECT_EQ(refused([&] { route("PUT", "/v2", offered); }).substr(0, 3), "404");
  EXPECT_EQ(refused([&] { route("PUT", "/metrics", offered); }).substr(0, 3), "405");
  const nlohmann::json paths = nlohmann::json::parse(openapi_document("1", offered))["paths"];
  EXPECT_TRUE(paths.contains("/metrics"));
  EXPECT_FALSE(paths.contains("/v2"));
}

TEST(OpenApi, HasEveryRouteAndOnlyKnownReferences) {
  const nlohmann::json document = nlohmann::json::parse(openapi_document("1.2.3"));
  EXPECT_EQ(document["info"]["version"], "1.2.3");
  std::size_t operations = 0;
  for (const auto& path : document["paths"]) operations += path.size();
  EXPECT_EQ(operations, routes().size());
  for (const RouteRow& row : routes()) {
    const auto& operation = document["paths"][std::string(row.pattern)][row.method == "GET" ? "get" : "post"];
    EXPECT_EQ(operation["summary"], row.summary);
    const auto& responses = operation["responses"];
    EXPECT_TRUE(responses.contains("200") && responses.contains("default")) << row.pattern;
    const std::string pattern(row.pattern);
    std::size_t in_path = 0;
    for (const auto& parameter : operation.value("parameters", nlohmann::json::array())) {
      if (parameter["in"] != "path") continue;
      ++in_path;
      EXPECT_NE(pattern.find("{" + parameter["name"].get<std::string>() + "}"), std::string::npos);
    }
    EXPECT_EQ(in_path, static_cast<std::size_t>(std::count(pattern.begin(), pattern.end(), '{')));
  }
  const std::string text = document.dump();
  for (std::size_t at = text.find("#/components/"); at != std::string::npos; at = text.find("#/components/", at + 1)) {
    const std::string reference = text.substr(at + 1, text.find('"', at) - at - 1);
    EXPECT_TRUE(document.contains(nlohmann::json::json_pointer(reference))) << reference;
  }
}

}  // namespace
}  // namespace gcvit::serve
