// SPDX-License-Identifier: Apache-2.0
#include "serve/router.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "serve/refusal.h"
#include "serve/target.h"

namespace gcvit::serve {
namespace {

constexpr RouteRow kRoutes[] = {
    {Endpoint::kClassify, RouteGroup::kInference, "POST", "/v1/classify", "Classify one photo"},
    {Endpoint::kServerMetadata, RouteGroup::kInference, "GET", "/v2", "The server's name, version and extensions"},
    {Endpoint::kLive, RouteGroup::kHealth, "GET", "/v2/health/live", "Whether the server runs"},
    {Endpoint::kReady, RouteGroup::kHealth, "GET", "/v2/health/ready", "Whether the server takes requests"},
    {Endpoint::kModelMetadata, RouteGroup::kInference, "GET", "/v2/models/{model}", "A model's inputs and outputs"},
    {Endpoint::kModelMetadata, RouteGroup::kInference, "GET", "/v2/models/{model}/versions/{version}",
     "A model's inputs and outputs"},
    {Endpoint::kModelReady, RouteGroup::kInference, "GET", "/v2/models/{model}/ready",
     "Whether a model takes requests"},
    {Endpoint::kModelReady, RouteGroup::kInference, "GET", "/v2/models/{model}/versions/{version}/ready",
     "Whether a model takes requests"},
    {Endpoint::kInfer, RouteGroup::kInference, "POST", "/v2/models/{model}/infer", "Classify photos or tensors"},
    {Endpoint::kInfer, RouteGroup::kInference, "POST", "/v2/models/{model}/versions/{version}/infer",
     "Classify photos or tensors"},
    {Endpoint::kMetrics, RouteGroup::kMetrics, "GET", "/metrics", "Counts and times in Prometheus' text format"},
    {Endpoint::kOpenApi, RouteGroup::kInference, "GET", "/openapi.json", "This document"},
};

/// There is one version of a model at a time.
constexpr std::string_view kVersion = "1";

/// The model's name where `path` is of the pattern, empty for a pattern without one; nothing for another path.
std::optional<std::string> match(std::string_view pattern, const std::vector<std::string>& path) {
  std::string model;
  pattern.remove_prefix(1);
  for (const std::string& segment : path) {
    if (pattern.empty()) return std::nullopt;
    const std::size_t end = pattern.find('/');
    const std::string_view expected = pattern.substr(0, end);
    if (expected == "{model}") {
      model = segment;
    } else if (segment != (expected == "{version}" ? kVersion : expected)) {
      return std::nullopt;
    }
    pattern = end == std::string_view::npos ? "" : pattern.substr(end + 1);
  }
  if (!pattern.empty()) return std::nullopt;
  return model;
}

using Json = nlohmann::ordered_json;

Json error_response(std::string_view text) {
  return {{"description", text},
          {"content", {{"application/json", {{"schema", {{"$ref", "#/components/schemas/Error"}}}}}}}};
}

Json parameter(std::string_view name, std::string_view place, std::string_view text, const Json& schema) {
  return {{"name", name}, {"in", place}, {"required", place == "path"}, {"description", text}, {"schema", schema}};
}

Json classify_request() {
  const Json binary = {{"schema", {{"type", "string"}, {"format", "binary"}}}};
  Json content;
  for (const char* const type : {"image/jpeg", "image/png", "image/webp", "application/octet-stream"})
    content[type] = binary;
  content["multipart/form-data"] = {{"schema",
                                     {{"type", "object"},
                                      {"properties", {{"image", {{"type", "string"}, {"format", "binary"}}}}},
                                      {"required", {"image"}}}}};
  return {{"required", true}, {"content", content}};
}

Json operation_of(const RouteRow& row) {
  Json operation = {{"summary", row.summary}};
  Json parameters = Json::array();
  if (row.pattern.find("{model}") != std::string_view::npos) {
    parameters.push_back(parameter("model", "path", "The model's name", {{"type", "string"}}));
  }
  if (row.pattern.find("{version}") != std::string_view::npos) {
    parameters.push_back(
        parameter("version", "path", "The model's version", {{"type", "string"}, {"enum", {kVersion}}}));
  }
  Json answer = {{"description", "The answer"}};
  if (row.endpoint == Endpoint::kClassify) {
    parameters.push_back(parameter("top_k", "query", "The number of classes, most probable first",
                                   {{"type", "integer"}, {"minimum", 1}, {"default", 5}}));
    parameters.push_back(
        parameter("model", "query", "The model's name; without it, the first model", {{"type", "string"}}));
    operation["requestBody"] = classify_request();
    answer["content"]["application/json"]["schema"]["$ref"] = "#/components/schemas/Classification";
  } else if (row.endpoint == Endpoint::kInfer) {
    const Json tensors = {{"application/json", {{"schema", {{"type", "object"}}}}},
                          {"application/octet-stream", {{"schema", {{"type", "string"}, {"format", "binary"}}}}}};
    operation["requestBody"] = {{"required", true}, {"content", tensors}};
    answer["content"] = tensors;
  } else if (row.endpoint == Endpoint::kMetrics) {
    answer["content"]["text/plain"]["schema"]["type"] = "string";
  } else {
    answer["content"]["application/json"]["schema"]["type"] = "object";
  }
  if (!parameters.empty()) operation["parameters"] = parameters;
  operation["responses"]["200"] = answer;
  operation["responses"]["default"] = error_response("One sentence that says what is wrong");
  return operation;
}

}  // namespace

std::span<const RouteRow> routes() { return kRoutes; }

Route route(std::string_view method, std::string_view target, RouteGroups offered) {
  Target parsed = parse_target(target);
  std::string allowed;
  bool elsewhere = false;
  for (const RouteRow& row : kRoutes) {
    std::optional<std::string> model = match(row.pattern, parsed.path);
    if (!model) continue;
    if (!offered.contains(row.group)) {
      elsewhere = true;
      continue;
    }
    if (method == row.method || (method == "HEAD" && row.method == "GET")) {
      return {.row = &row, .model = std::move(*model), .query = std::move(parsed.query), .offered = offered};
    }
    allowed = row.method == "GET" ? "GET, HEAD" : row.method;
  }
  const std::string_view path = target.substr(0, target.find('?'));
  if (allowed.empty() && elsewhere) {
    refuse(404, "no_route", "{}: this address doesn't offer this path", path);
  }
  if (allowed.empty())
    refuse(404, "no_route", "{}: there is no such path; /openapi.json lists those that there are", path);
  throw Refusal(405, "method", fmt::format("[serve] {}: expected {}, found {}", path, allowed, method))
      .with("Allow", allowed);
}

std::string openapi_document(std::string_view version, RouteGroups offered) {
  Json document = {{"openapi", "3.1.0"},
                   {"info", {{"title", "gcvit serve"}, {"version", version}, {"license", {{"name", "Apache-2.0"}}}}}};
  for (const RouteRow& row : kRoutes) {
    if (!offered.contains(row.group)) continue;
    document["paths"][std::string(row.pattern)][row.method == "GET" ? "get" : "post"] = operation_of(row);
  }
  Json& schemas = document["components"]["schemas"];
  schemas["Error"] = {{"type", "object"}, {"properties", {{"error", {{"type", "string"}}}}}, {"required", {"error"}}};
  const Json prediction = {
      {"type", "object"},
      {"properties",
       {{"index", {{"type", "integer"}}}, {"label", {{"type", "string"}}}, {"probability", {{"type", "number"}}}}},
      {"required", {"index", "label", "probability"}}};
  schemas["Classification"] = {{"type", "object"},
                               {"properties",
                                {{"predictions", {{"type", "array"}, {"items", prediction}}},
                                 {"model", {{"type", "string"}}},
                                 {"milliseconds", {{"type", "number"}}}}},
                               {"required", {"predictions", "model", "milliseconds"}}};
  document["components"]["securitySchemes"]["key"] = {{"type", "http"}, {"scheme", "bearer"}};
  document["security"] = {{{"key", Json::array()}}, Json::object()};  // a server without keys asks for none
  return document.dump();
}

}  // namespace gcvit::serve
