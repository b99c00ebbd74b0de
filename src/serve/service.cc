// SPDX-License-Identifier: Apache-2.0
#include "serve/service.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <exception>
#include <filesystem>
#include <new>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>
#include <thread>

#include "base/error.h"
#include "gcvit/version.h"
#include "serve/decompress.h"
#include "serve/inference_response.h"
#include "serve/model_card.h"
#include "serve/multipart.h"
#include "serve/page.h"
#include "serve/queries.h"

namespace gcvit::serve {
namespace {

constexpr std::size_t kLongestName = 128;
constexpr std::chrono::milliseconds kReloadPause{1};
constexpr std::size_t kLightBody = std::size_t{64} << 10;
constexpr std::size_t kReaders = 2;

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

/// Whether reading a body takes so long that other requests of the same thread would notice.
bool is_heavy(const AdmittedRequest& request) {
  if (!request.head.content_encoding.empty()) return true;
  if (request.body.size() <= kLightBody) return false;
  const bool is_json = request.route.row->endpoint == Endpoint::kInfer &&
                       request.head.inference_json_bytes.value_or(request.body.size()) > kLightBody;
  return is_json || is_multipart(request.head.content_type);
}

void check_explains(const Route& route) {
  if (!route.explains) refuse(404, "no_route", "{}: explanations are not offered here", route.row->pattern);
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

std::function<Response()> guarded(std::function<Response()> make) {
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

Service::Service(ServiceOptions options, std::function<void(const std::string& sentence)> notice)
    : options_(std::move(options)), notice_(std::move(notice)) {
  if (options_.models.empty()) fail("[serve] expected a model, found none");
  std::set<std::string> names;
  for (const ModelSource& source : options_.models) {
    if (!names.insert(source.name).second) fail("[serve] expected each model's name once, found {} twice", source.name);
  }
  for (const ModelSource& source : options_.models) models_.push_back(open(source));
  try {
    readers_ = std::make_unique<boost::asio::thread_pool>(kReaders);
  } catch (const std::system_error& error) {
    fail(ErrorCode::kIo, "[serve] can't start {} threads: {}", kReaders, error.what());
  }
}

Service::~Service() { readers_->join(); }

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
  cancelled_ = true;
  readers_->join();  // their requests reach a model, or are refused
  const std::scoped_lock lock(mutex_);
  for (const ModelPointer& model : models_) model->cancel();
  models_.clear();
}

std::vector<Service::ModelPointer> Service::models() const {
  const std::scoped_lock lock(mutex_);
  return models_;
}

Service::ModelPointer Service::find(const std::string& name) const {
  const std::scoped_lock lock(mutex_);
  for (const ModelPointer& model : models_) {
    if (name.empty() || model->name() == name) return model;
  }
  refuse(404, "no_model", "{}: there is no model of this name", name);
}

Route Service::admit(const RequestHead& head) const {
  if (!options_.keys.allow(head.authorization) && !(options_.page && is_of_page(head))) {
    throw Refusal(401, "key",
                  "[serve] Authorization: expected Bearer and a key of this server, found another value or none")
        .with("WWW-Authenticate", "Bearer");
  }
  Route found = route(head.method, head.target);
  if (found.row->group == RouteGroup::kPage && !options_.page) {
    refuse(404, "no_route", "{}: this server has no page for browsers", head.target);
  }
  found.explains = options_.explain;
  const Endpoint endpoint = found.row->endpoint;
  if (endpoint == Endpoint::kClassify) {
    const ClassifyQuery query = classify_query(found.query);
    find(query.model);
    if (query.explain) check_explains(found);
  } else if (endpoint == Endpoint::kExplain) {
    check_explains(found);
    find(explain_query(found.query).model);
  } else if (endpoint == Endpoint::kFeatures) {
    find(feature_query(found.query).model);
  } else if (!found.model.empty()) {
    find(found.model);
  }
  return found;
}

void Service::handle(AdmittedRequest request, const Done& done) {
  try {
    if (!is_heavy(request)) return begin(std::move(request), done);
    // Its body is counted, so that there are no more of them than memory allows.
    boost::asio::post(*readers_, [this, done, kept = std::make_shared<AdmittedRequest>(std::move(request))] {
      if (!cancelled_ && Clock::now() <= kept->deadline) return begin(std::move(*kept), done);
      done(guarded([]() -> Response {
        fail(ErrorCode::kCancelled, "[serve] expected an answer in time, found too many requests");
      }));
    });
  } catch (...) {
    done(guarded([error = std::current_exception()]() -> Response { std::rethrow_exception(error); }));
  }
}

void Service::begin(AdmittedRequest request, const Done& done) {
  try {
    if (!request.head.content_encoding.empty()) {
      request.body = decompress(std::move(request.body), request.head.content_encoding, options_.max_body);
      if (request.body_share) request.body_share->take(request.body.size());
    }
    switch (request.route.row->endpoint) {
      case Endpoint::kClassify: return classify(std::move(request), done);
      case Endpoint::kInfer: return infer(std::move(request), done);
      case Endpoint::kExplain: return explain(std::move(request), done);
      case Endpoint::kFeatures: return features(std::move(request), done);
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
    case Endpoint::kModels: {
      nlohmann::ordered_json cards = nlohmann::ordered_json::array();
      for (const ModelPointer& model : models()) cards.push_back(model_card(model->name(), model->session()));
      return {.body = models_json(std::move(cards), request.route.explains)};
    }
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
      std::vector<QueueLengths> queues;
      for (const ModelPointer& model : models()) {
        queues.push_back({model->name(), model->waiting(), model->explain_worker().waiting()});
      }
      return {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = metrics_.text(queues)};
    }
    case Endpoint::kOpenApi: return {.body = openapi_document(GCVIT_VERSION)};
    case Endpoint::kPage: return page_response(request.route.file, request.head.if_none_match);
    case Endpoint::kClassify:
    case Endpoint::kExplain:
    case Endpoint::kFeatures:
    case Endpoint::kInfer: break;
  }
  fail("[serve] {}: expected a route that computes nothing", request.route.row->pattern);
}

}  // namespace gcvit::serve
