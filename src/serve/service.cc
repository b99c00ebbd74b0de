// SPDX-License-Identifier: Apache-2.0
#include "serve/service.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <filesystem>
#include <new>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <thread>

#include "base/error.h"
#include "gcvit/version.h"
#include "serve/decompress.h"
#include "serve/fields.h"
#include "serve/inference_request.h"
#include "serve/inference_response.h"
#include "serve/multipart.h"

namespace gcvit::serve {
namespace {

constexpr std::uint64_t kDefaultTopK = 5;
constexpr std::uint64_t kMostTopK = 1'000'000;
constexpr std::size_t kLongestName = 128;
constexpr std::chrono::milliseconds kReloadPause{1};

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

bool is_picture(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return text.starts_with("\xff\xd8\xff") || text.starts_with("\x89PNG\r\n\x1a\n") ||
         (text.starts_with("RIFF") && text.substr(std::min<std::size_t>(8, text.size())).starts_with("WEBP"));
}

/// The photo of a request: its body, or the one part of a form.
std::span<const std::byte> photo_of(const AdmittedRequest& request) {
  std::span<const std::byte> photo = bytes_of(request.body);
  if (is_multipart(request.head.content_type)) {
    const std::vector<Part> parts = parse_multipart(request.head.content_type, photo);
    if (parts.size() != 1) refuse(400, "invalid_form", "form: expected one part, the photo, found {}", parts.size());
    photo = parts.front().content;
  }
  if (photo.empty()) refuse(400, "no_image", "expected a photo, found an empty body");
  if (!is_picture(photo)) refuse(415, "not_an_image", "expected a JPEG, PNG or WebP image, found something else");
  return photo;
}

/// What a query asks of `classify`.
struct ClassifyQuery {
  std::uint64_t top_k = kDefaultTopK;
  std::string model;
};

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
    } else {
      refuse(400, "invalid_query", "URL: expected the parameters top_k and model, found \"{}\"", name);
    }
  }
  return result;
}

/// What anybody may ask, since those who watch over a server have no keys.
bool is_open(const RequestHead& head) {
  const bool reads = head.method == "GET" || head.method == "HEAD";
  return reads && (head.target == "/v2/health/live" || head.target == "/v2/health/ready");
}

Refusal queue_is_full(const ServedModel& model) {
  return Refusal(503, "queue_full", fmt::format("[serve] {}: its queue is full; try again later", model.name()))
      .with("Retry-After", "1");
}

/// Throws where an image has no logits.
void check_result(const ImageLogits& result) {
  if (result.overflowed) throw Refusal(500, "not_finite", result.error);
  if (!result.error.empty()) throw refusal_of(result.code, result.error);
}

/// `make`, with what it throws made a response.
Service::Respond guarded(std::function<Response()> make) {
  return [make = std::move(make)]() -> Response {
    try {
      return make();
    } catch (const Error& error) {
      return response_of(refusal_of(error));
    } catch (const std::bad_alloc&) {
      return response_of(Refusal(503, "exhausted", "[serve] not enough memory").with("Retry-After", "1"));
    } catch (const std::exception& error) {
      return response_of(Refusal(500, "internal", fmt::format("[serve] {}", error.what())));
    }
  };
}

}  // namespace

ModelSource parse_model_source(std::string_view text) {
  ModelSource source;
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) {
    const std::filesystem::path path(text);
    source = {.name = (path.has_filename() ? path : path.parent_path()).stem().string(), .file = std::string(text)};
  } else {
    source = {.name = std::string(text.substr(0, equals)), .file = std::string(text.substr(equals + 1))};
  }
  if (source.name.empty() || source.name.size() > kLongestName ||
      !std::ranges::all_of(source.name, is_name_character)) {
    fail(
        "[serve] {}: expected a name of 1 to {} letters, digits, \".\", \"-\" and \"_\", found \"{}\"; NAME=FILE gives "
        "a "
        "model another name",
        text, kLongestName, source.name);
  }
  return source;
}

Response response_of(const Refusal& refusal) {
  Response response{
      .status = refusal.status(), .body = error_json(refusal.what()), .reason = std::string(refusal.reason())};
  if (!refusal.field().first.empty()) response.fields.push_back(refusal.field());
  return response;
}

Service::Service(ServiceOptions options, std::function<void(const std::string& sentence)> notice)
    : options_(std::move(options)), notice_(std::move(notice)) {
  if (options_.models.empty()) fail("[serve] expected a model, found none");
  std::set<std::string> names;
  for (const ModelSource& source : options_.models) {
    if (!names.insert(source.name).second) fail("[serve] expected each model's name once, found {} twice", source.name);
  }
  for (const ModelSource& source : options_.models) models_.push_back(open(source));
}

Service::~Service() = default;

Service::ModelPointer Service::open(const ModelSource& source) {
  Model model = Model::open(source.file, options_.opening);
  for (const std::string& sentence : model.notices()) notice_(sentence);
  return std::make_shared<ServedModel>(source.name, std::move(model), options_.batching, metrics_);
}

void Service::reload() {
  for (std::size_t i = 0; i < options_.models.size(); ++i) {
    const ModelSource& source = options_.models[i];
    ModelPointer model;
    try {
      model = open(source);
    } catch (const std::exception& error) {
      metrics_.count_reload(false);
      notice_(fmt::format("[serve] {}: the model stays as it was: {}", source.name, error.what()));
      continue;
    }
    {
      const std::scoped_lock lock(mutex_);
      models_[i].swap(model);
    }
    metrics_.count_reload(true);
    notice_(fmt::format("[serve] {}: read again from {}", source.name, source.file));
    // A thread that submits at this moment holds the old model too; the last to let go of it waits for its results.
    while (model.use_count() > 1) std::this_thread::sleep_for(kReloadPause);
  }
}

void Service::cancel() {
  const std::scoped_lock lock(mutex_);
  for (const ModelPointer& model : models_) model->cancel();
  models_.clear();
}

Service::ModelPointer Service::find(const std::string& name) const {
  const std::scoped_lock lock(mutex_);
  for (const ModelPointer& model : models_) {
    if (name.empty() || model->name() == name) return model;
  }
  refuse(404, "no_model", "{}: there is no model of this name", name);
}

Route Service::admit(const RequestHead& head) const {
  if (!is_open(head) && !options_.keys.allow(head.authorization)) {
    throw Refusal(401, "key",
                  "[serve] Authorization: expected Bearer and a key of this server, found another value or none")
        .with("WWW-Authenticate", "Bearer");
  }
  Route found = route(head.method, head.target);
  if (found.row->endpoint == Endpoint::kClassify) {
    find(classify_query(found.query).model);
  } else if (!found.model.empty()) {
    find(found.model);
  }
  return found;
}

void Service::handle(AdmittedRequest request, std::function<void(Respond respond)> done) {
  try {
    request.body = decompress(std::move(request.body), request.head.content_encoding, options_.max_body);
    switch (request.route.row->endpoint) {
      case Endpoint::kClassify: return classify(std::move(request), done);
      case Endpoint::kInfer: return infer(std::move(request), done);
      default: break;
    }
    Response response = answer(request);
    done([response = std::move(response)] { return response; });
  } catch (...) {
    done(guarded([error = std::current_exception()]() -> Response { std::rethrow_exception(error); }));
  }
}

Response Service::answer(const AdmittedRequest& request) const {
  switch (request.route.row->endpoint) {
    case Endpoint::kServerMetadata: return {.body = server_metadata_json(GCVIT_VERSION)};
    case Endpoint::kLive: return {.body = R"({"live":true})"};
    case Endpoint::kReady:
      if (draining_) refuse(503, "draining", "the server is about to end");
      return {.body = R"({"ready":true})"};
    case Endpoint::kModelMetadata: {
      const ModelPointer model = find(request.route.model);
      return {.body = model_metadata_json(model->name(), model->model())};
    }
    case Endpoint::kModelReady:
      if (draining_) refuse(503, "draining", "the server is about to end");
      return {.body = nlohmann::json{{"name", find(request.route.model)->name()}, {"ready", true}}.dump()};
    case Endpoint::kMetrics: {
      std::vector<std::pair<std::string, std::size_t>> queues;
      {
        const std::scoped_lock lock(mutex_);
        for (const ModelPointer& model : models_) queues.emplace_back(model->name(), model->waiting());
      }
      return {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = metrics_.text(queues)};
    }
    case Endpoint::kOpenApi: return {.body = openapi_document(GCVIT_VERSION)};
    case Endpoint::kClassify:
    case Endpoint::kInfer: break;
  }
  fail("[serve] {}: expected a route that computes nothing", request.route.row->pattern);
}

void Service::classify(AdmittedRequest request, std::function<void(Respond respond)> done) {
  const ClassifyQuery query = classify_query(request.route.query);
  const ModelPointer served = find(query.model);
  const auto kept = std::make_shared<AdmittedRequest>(std::move(request));
  std::vector<ServedModel::Input> inputs(1);
  inputs[0].image = Image::encoded(photo_of(*kept), "image");
  const bool accepted = served->submit(
      std::move(inputs), kept->deadline,
      [kept, done, query, model = served->model(), name = served->name()](std::vector<ImageLogits> results) {
        done(guarded([kept, query, model, name, result = std::move(results.front())]() -> Response {
          check_result(result);
          const int k =
              static_cast<int>(std::min<std::uint64_t>(query.top_k, static_cast<std::uint64_t>(model.classes())));
          const std::chrono::duration<double, std::milli> taken = Clock::now() - kept->arrived;
          return {.body = classification_json(model.predictions(result.logits, k), name, taken.count())};
        }));
      });
  if (!accepted) throw queue_is_full(*served);
}

void Service::infer(AdmittedRequest request, std::function<void(Respond respond)> done) {
  const ModelPointer served = find(request.route.model);
  const Model& model = served->model();
  struct Kept {
    AdmittedRequest request;
    InferenceRequest inference;
  };
  const auto kept = std::make_shared<Kept>(Kept{.request = std::move(request), .inference = {}});
  kept->inference = parse_inference_request(
      bytes_of(kept->request.body), kept->request.head.inference_json_bytes,
      {.height = model.image_height(), .width = model.image_width(), .images = options_.batching.queue});
  std::vector<ServedModel::Input> inputs;
  for (const Image& image : kept->inference.images) inputs.push_back({.image = image, .tensor = {}});
  const std::size_t size =
      static_cast<std::size_t>(model.image_height()) * static_cast<std::size_t>(model.image_width()) * 3;
  const std::span<const float> tensors = kept->inference.tensors;
  for (std::size_t at = 0; at < tensors.size(); at += size) {
    inputs.push_back({.image = {}, .tensor = tensors.subspan(at, size)});
  }
  const bool accepted = served->submit(
      std::move(inputs), kept->request.deadline,
      [kept, done, model, name = served->name()](std::vector<ImageLogits> results) {
        done(guarded([kept, model, name, results = std::move(results)]() -> Response {
          std::vector<std::vector<float>> logits;
          for (const ImageLogits& result : results) {
            check_result(result);
            logits.push_back(result.logits);
          }
          InferenceResponse made = inference_response(kept->inference, name, model, logits);
          Response response{.body = std::move(made.body)};
          if (made.json_bytes) {
            response.content_type = "application/octet-stream";
            response.fields.emplace_back("Inference-Header-Content-Length", std::to_string(*made.json_bytes));
          }
          return response;
        }));
      });
  if (!accepted) throw queue_is_full(*served);
}

}  // namespace gcvit::serve
