// SPDX-License-Identifier: Apache-2.0
#include "serve/router.h"

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "serve/refusal.h"
#include "serve/target.h"

namespace gcvit::serve {
namespace {

constexpr RouteRow kRoutes[] = {
    {Endpoint::kClassify, RouteGroup::kInference, "POST", "/v1/classify", "Classify one photo"},
    {Endpoint::kModels, RouteGroup::kInference, "GET", "/v1/models",
     "What the models are, and whether they are explained"},
    {Endpoint::kExplain, RouteGroup::kExplain, "POST", "/v1/explain",
     "What on a photo spoke for a class, or where the model looks"},
    {Endpoint::kFeatures, RouteGroup::kInference, "POST", "/v1/features", "What a model makes of a photo, as numbers"},
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
    {Endpoint::kPage, RouteGroup::kPage, "GET", "/", "A page that asks this server, for browsers"},
    {Endpoint::kPage, RouteGroup::kPage, "GET", "/page/{file}", "A file of the page"},
};

/// There is one version of a model at a time.
constexpr std::string_view kVersion = "1";

/// What `path` gives the names in the pattern; nothing for a path that isn't of the pattern.
struct Names {
  std::string model;
  std::string file;
};
std::optional<Names> match(std::string_view pattern, const std::vector<std::string>& path) {
  Names names;
  pattern.remove_prefix(1);
  for (const std::string& segment : path) {
    if (pattern.empty()) return std::nullopt;
    const std::size_t end = pattern.find('/');
    const std::string_view expected = pattern.substr(0, end);
    if (expected == "{model}") {
      names.model = segment;
    } else if (expected == "{file}") {
      names.file = segment;
    } else if (segment != (expected == "{version}" ? kVersion : expected)) {
      return std::nullopt;
    }
    pattern = end == std::string_view::npos ? "" : pattern.substr(end + 1);
  }
  if (!pattern.empty()) return std::nullopt;
  return names;
}

using Json = nlohmann::ordered_json;

Json error_response(std::string_view text) {
  return {{"description", text},
          {"content", {{"application/json", {{"schema", {{"$ref", "#/components/schemas/Error"}}}}}}}};
}

Json parameter(std::string_view name, std::string_view place, std::string_view text, const Json& schema) {
  return {{"name", name}, {"in", place}, {"required", place == "path"}, {"description", text}, {"schema", schema}};
}

Json photo_request() {
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

Json one_of(std::initializer_list<std::string_view> words) { return {{"type", "string"}, {"enum", words}}; }

Json from_0() { return {{"type", "integer"}, {"minimum", 0}}; }

Json model_parameter() {
  return parameter("model", "query", "The model's name; without it, the first model", {{"type", "string"}});
}

Json classify_parameters() {
  Json top_k = {{"type", "integer"}, {"minimum", 1}, {"default", 5}};
  return {parameter("top_k", "query", "The number of classes, most probable first", top_k), model_parameter(),
          parameter("explain", "query", "Explain the most probable class, or show where the model looks",
                    one_of({"grad-cam", "attention"}))};
}

Json explain_parameters() {
  const Json level = {{"type", "integer"}, {"minimum", 0}, {"maximum", 4}};
  const Json opacity = {{"type", "number"}, {"minimum", 0}, {"maximum", 1}, {"default", 0.5}};
  const Json text = {{"type", "string"}};
  return {
      model_parameter(),
      parameter("method", "query", "What is shown; without it, grad-cam", one_of({"grad-cam", "attention"})),
      parameter("class", "query", "grad-cam: the class, by name or index; without it, the most probable one", text),
      parameter("score", "query", "grad-cam: what of the class is explained; without it, its logit",
                one_of({"logit", "probability"})),
      parameter("level", "query",
                "grad-cam: the map of this level, without it or with 0 the one behind the final norm; attention: the "
                "block's level, 1 to 4, without it 3",
                level),
      parameter("block", "query", "attention: the block; without it, the level's last global one", from_0()),
      parameter("head", "query", "attention: the head; without it, the mean of all", from_0()),
      parameter("query", "query",
                "attention: ROW,COLUMN of the query whose look is shown, a cell of the global query or in a local "
                "block of the level's map; without it, the mean of all",
                {{"type", "string"}, {"pattern", "^[0-9]+,[0-9]+$"}}),
      parameter("format", "query", "The map as numbers, or drawn on the photo", one_of({"json", "png"})),
      parameter("colours", "query", "png: the colours of the map", one_of({"viridis", "inferno"})),
      parameter("opacity", "query", "png: the opacity of the colours over the photo", opacity)};
}

Json features_parameters() {
  return {model_parameter(), parameter("feature", "query", "Which of the model's values; without it, the pooled vector",
                                       one_of({"pooled", "features", "level1", "level2", "level3", "level4"}))};
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
  if (row.pattern.find("{file}") != std::string_view::npos) {
    parameters.push_back(parameter("file", "path", "The file's name", {{"type", "string"}}));
  }
  Json answer = {{"description", "The answer"}};
  if (row.endpoint == Endpoint::kClassify) {
    parameters = classify_parameters();
    operation["requestBody"] = photo_request();
    answer["content"]["application/json"]["schema"]["$ref"] = "#/components/schemas/Classification";
  } else if (row.endpoint == Endpoint::kExplain) {
    parameters = explain_parameters();
    operation["requestBody"] = photo_request();
    answer["content"]["application/json"]["schema"]["$ref"] = "#/components/schemas/Explanation";
    answer["content"]["image/png"]["schema"] = {{"type", "string"}, {"format", "binary"}};
  } else if (row.endpoint == Endpoint::kFeatures) {
    parameters = features_parameters();
    operation["requestBody"] = photo_request();
    answer["content"]["application/json"]["schema"]["$ref"] = "#/components/schemas/Features";
  } else if (row.endpoint == Endpoint::kModels) {
    answer["content"]["application/json"]["schema"]["$ref"] = "#/components/schemas/Models";
  } else if (row.endpoint == Endpoint::kInfer) {
    const Json tensors = {{"application/json", {{"schema", {{"type", "object"}}}}},
                          {"application/octet-stream", {{"schema", {{"type", "string"}, {"format", "binary"}}}}}};
    operation["requestBody"] = {{"required", true}, {"content", tensors}};
    answer["content"] = tensors;
  } else if (row.endpoint == Endpoint::kPage) {
    answer["content"][row.pattern == "/" ? "text/html" : "*/*"]["schema"]["type"] = "string";
    operation["security"] = {Json::object()};  // it is there for everyone
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

Json type(std::string_view name) { return {{"type", name}}; }

Json array_of(const Json& items) { return {{"type", "array"}, {"items", items}}; }

/// An object that has all of these members, and maybe those of `optional`.
Json object_of(Json members, const Json& optional = Json::object()) {
  Json required = Json::array();
  for (const auto& [name, schema] : members.items()) required.push_back(name);
  members.update(optional);
  return {{"type", "object"}, {"properties", std::move(members)}, {"required", std::move(required)}};
}

Json explanation_schema() {
  const Json number = type("number");
  const Json integer = type("integer");
  return object_of({{"method", one_of({"grad-cam", "attention"})},
                    {"level", integer},
                    {"range", array_of(number)},
                    {"empty", type("boolean")},
                    {"photo", object_of({{"height", integer}, {"width", integer}})},
                    {"seen", object_of({{"left", number}, {"top", number}, {"width", number}, {"height", number}})}},
                   {{"block", integer},
                    {"head", integer},
                    {"query", array_of(integer)},
                    {"index", integer},
                    {"label", type("string")},
                    {"score", number},
                    {"score_is", one_of({"logit", "probability"})},
                    {"map", object_of({{"height", integer}, {"width", integer}, {"values", array_of(number)}})},
                    {"overlay", {{"type", "string"}, {"contentEncoding", "base64"}, {"contentMediaType", "image/png"}}},
                    {"model", type("string")},
                    {"milliseconds", number}});
}

Json model_schema() {
  const Json integer = type("integer");
  const Json text = type("string");
  const Json sides = array_of(integer);
  const Json level = object_of({{"level", integer},
                                {"blocks", integer},
                                {"heads", integer},
                                {"channels", integer},
                                {"map", sides},
                                {"window", sides},
                                {"global_blocks", sides},
                                {"query", sides}});
  return object_of({{"name", text},
                    {"family", text},
                    {"preset", text},
                    {"parameters", integer},
                    {"bytes", integer},
                    {"dtype", text},
                    {"classes", integer},
                    {"labels", array_of(text)},
                    {"image_size", sides},
                    {"preprocessing", text},
                    {"format", text},
                    {"layout", text},
                    {"levels", array_of(level)}},
                   {{"temperature", type("number")}});
}

Json schemas() {
  const Json number = type("number");
  const Json text = type("string");
  const Json prediction = object_of({{"index", type("integer")}, {"label", text}, {"probability", number}});
  Json all;
  all["Error"] = object_of({{"error", text}});
  all["Classification"] = object_of({{"predictions", array_of(prediction)}, {"model", text}, {"milliseconds", number}},
                                    {{"explanation", {{"$ref", "#/components/schemas/Explanation"}}}});
  all["Explanation"] = explanation_schema();
  all["Features"] = object_of({{"feature", text},
                               {"shape", array_of(type("integer"))},
                               {"values", array_of(number)},
                               {"model", text},
                               {"milliseconds", number}});
  all["Models"] = object_of({{"models", array_of(model_schema())}, {"explain", type("boolean")}});
  return all;
}

}  // namespace

std::span<const RouteRow> routes() { return kRoutes; }

Route route(std::string_view method, std::string_view target, RouteGroups offered) {
  Target parsed = parse_target(target);
  std::string allowed;
  bool elsewhere = false;
  for (const RouteRow& row : kRoutes) {
    std::optional<Names> names = match(row.pattern, parsed.path);
    if (!names) continue;
    if (!offered.contains(row.group)) {
      elsewhere = true;
      continue;
    }
    if (method == row.method || (method == "HEAD" && row.method == "GET")) {
      return {.row = &row,
              .model = std::move(names->model),
              .file = std::move(names->file),
              .query = std::move(parsed.query),
              .offered = offered};
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
  document["components"]["schemas"] = schemas();
  document["components"]["securitySchemes"]["key"] = {{"type", "http"}, {"scheme", "bearer"}};
  document["security"] = {{{"key", Json::array()}}, Json::object()};  // a server without keys asks for none
  return document.dump();
}

}  // namespace gcvit::serve
