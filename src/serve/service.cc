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
#include <optional>
#include <set>
#include <thread>

#include "base/error.h"
#include "base/printable.h"
#include "gcvit/version.h"
#include "serve/decompress.h"
#include "serve/explanation.h"
#include "serve/fields.h"
#include "serve/inference_request.h"
#include "serve/inference_response.h"
#include "serve/model_card.h"
#include "serve/multipart.h"
#include "serve/page.h"

namespace gcvit::serve {
namespace {

constexpr std::uint64_t kDefaultTopK = 5;
constexpr std::uint64_t kMostTopK = 1'000'000;
constexpr std::size_t kLongestName = 128;
constexpr std::chrono::milliseconds kReloadPause{1};
constexpr std::size_t kLightBody = std::size_t{64} << 10;
constexpr std::size_t kReaders = 2;

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
  std::optional<ExplainMethod> explain;
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
    } else if (name == "explain") {
      result.explain = parse_method("explain", value);
    } else {
      refuse(400, "invalid_query", "URL: expected the parameters top_k, model and explain, found \"{}\"", name);
    }
  }
  return result;
}

/// Whether reading a body takes so long that other requests of the same thread would notice.
bool is_heavy(const AdmittedRequest& request) {
  if (!request.head.content_encoding.empty()) return true;
  if (request.body.size() <= kLightBody) return false;
  const bool is_json = request.route.row->endpoint == Endpoint::kInfer &&
                       request.head.inference_json_bytes.value_or(request.body.size()) > kLightBody;
  return is_json || is_multipart(request.head.content_type);
}

Refusal queue_is_full(const ServedModel& model) {
  return Refusal(503, "queue_full", fmt::format("[serve] {}: its queue is full; try again later", model.name()))
      .with("Retry-After", "1");
}

Refusal explain_queue_is_full(const ServedModel& model) {
  return Refusal(
             503, "explain_queue_full",
             fmt::format("[serve] {}: its queue for explanations and features is full; try again later", model.name()))
      .with("Retry-After", "1");
}

ExplainWorker::Place place_in(ServedModel& model) {
  ExplainWorker::Place place = model.explain_worker().reserve();
  if (!place) throw explain_queue_is_full(model);
  return place;
}

/// A sentence with a model's name where it has the model's file, whose path is no client's business.
std::string without_path(std::string sentence, const ServedModel& served) {
  const std::string path = printable(served.model().file());
  for (std::size_t at = sentence.find(path); at != std::string::npos; at = sentence.find(path, at)) {
    sentence.replace(at, path.size(), served.name());
    at += served.name().size();
  }
  return sentence;
}

/// The options of a query, or a `Refusal` 400 where it doesn't fit the model.
ExplainOptions options_of(const ExplainQuery& query, const ServedModel& served) {
  try {
    return options_for(query, served.model());
  } catch (const Error& error) {
    throw Refusal(400, "invalid_query", without_path(error.what(), served));
  }
}

void check_explains(const Route& route) {
  if (!route.offered.contains(RouteGroup::kExplain))
    refuse(404, "no_route", "{}: explanations are not offered here", route.row->pattern);
}

double milliseconds_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

/// Throws where an image has no logits.
void check_result(const ImageLogits& result) {
  if (result.overflowed) throw Refusal(500, "not_finite", result.error);
  if (!result.error.empty()) throw refusal_of(result.code, result.error);
}

/// What needs no key: health, since those who watch over a server have none, and the page's files, which hold no data and which a browser
/// must have before it can ask its user for a key.
bool is_open(const RequestHead& head, RouteGroups offered) {
  try {
    const RouteGroup group = route(head.method, head.target, offered).row->group;
    return group == RouteGroup::kHealth || group == RouteGroup::kPage;
  } catch (const Refusal&) {
    return false;
  }
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

/// Makes an answer on the thread of the model's worker.
using Make = std::function<Response(Explainer& explainer, const std::stop_token& stop)>;

void submit(ServedModel& served, ExplainWorker::Place place, Clock::time_point deadline, Make make,
            std::function<void(Service::Respond respond)> done) {
  const auto response = std::make_shared<Response>();
  const auto run = [&served, response, make = std::move(make)](Explainer& explainer, const std::stop_token& stop) {
    try {
      *response = make(explainer, stop);
    } catch (const Error& error) {
      const Refusal refusal = refusal_of(error);
      Refusal named(refusal.status(), refusal.reason(), without_path(refusal.what(), served));
      throw std::move(named).with(refusal.field().first, refusal.field().second);
    }
  };
  const auto answer = [response, done = std::move(done)](const std::exception_ptr& error) {
    done(guarded([response, error]() -> Response {
      if (error) std::rethrow_exception(error);
      return std::move(*response);
    }));
  };
  served.explain_worker().submit(std::move(place), {.deadline = deadline, .run = run, .done = answer});
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
  readers_ = std::make_unique<boost::asio::thread_pool>(kReaders);
}

Service::~Service() {
  if (readers_) readers_->join();
}

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

Service::ModelPointer Service::find(const std::string& name) const {
  const std::scoped_lock lock(mutex_);
  for (const ModelPointer& model : models_) {
    if (name.empty() || model->name() == name) return model;
  }
  refuse(404, "no_model", "{}: there is no model of this name", name);
}

Route Service::admit(const RequestHead& head, RouteGroups offered) const {
  if (!options_.keys.allow(head.authorization) && !is_open(head, offered)) {
    throw Refusal(401, "key",
                  "[serve] Authorization: expected Bearer and a key of this server, found another value or none")
        .with("WWW-Authenticate", "Bearer");
  }
  Route found = route(head.method, head.target, offered);
  const Endpoint endpoint = found.row->endpoint;
  if (endpoint == Endpoint::kClassify) {
    const ClassifyQuery query = classify_query(found.query);
    find(query.model);
    if (query.explain) check_explains(found);
  } else if (endpoint == Endpoint::kExplain) {
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
      {
        const std::scoped_lock lock(mutex_);
        for (const ModelPointer& model : models_) cards.push_back(model_card(model->name(), model->session()));
      }
      return {.body = models_json(std::move(cards), request.route.offered.contains(RouteGroup::kExplain))};
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
      {
        const std::scoped_lock lock(mutex_);
        for (const ModelPointer& model : models_) {
          queues.push_back({model->name(), model->waiting(), model->explain_worker().waiting()});
        }
      }
      return {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = metrics_.text(queues)};
    }
    case Endpoint::kOpenApi: return {.body = openapi_document(GCVIT_VERSION, request.route.offered)};
    case Endpoint::kPage: return page_response(request.route.file, request.head.if_none_match);
    case Endpoint::kClassify:
    case Endpoint::kExplain:
    case Endpoint::kFeatures:
    case Endpoint::kInfer: break;
  }
  fail("[serve] {}: expected a route that computes nothing", request.route.row->pattern);
}

void Service::classify(AdmittedRequest request, const Done& done) {
  const ClassifyQuery query = classify_query(request.route.query);
  const ModelPointer served = find(query.model);
  const auto kept = std::make_shared<AdmittedRequest>(std::move(request));
  const Image photo = Image::encoded(photo_of(*kept), "image");
  // The model waits for what it accepted, so that it is still there when `answer` is called.
  auto answer = [kept, done, query, photo, place = query.explain ? place_in(*served) : nullptr,
                 served = served.get()](std::vector<ImageLogits> results) mutable {
    const auto predictions = [model = served->model(), query, result = std::move(results.front())] {
      check_result(result);
      return model.predictions(result.logits, static_cast<int>(std::min<std::uint64_t>(
                                                  query.top_k, static_cast<std::uint64_t>(model.classes()))));
    };
    if (!query.explain) {
      return done(guarded([kept, predictions, name = served->name()]() -> Response {
        return {.body = classification_json(predictions(), name, milliseconds_since(kept->arrived))};
      }));
    }
    submit(
        *served, std::move(place), kept->deadline,
        [kept, predictions, photo, method = *query.explain, served](Explainer& explainer, const std::stop_token& stop) {
          const std::vector<Prediction> found = predictions();
          ExplainQuery asked;
          asked.method = method;
          ExplainOptions options = options_of(asked, *served);
          if (auto* grad_cam = std::get_if<GradCamOptions>(&options)) grad_cam->target = found.front().index;
          const PhotoExplanation explained = explain_photo(explainer, photo, options, stop);
          return Response{.body = classification_json(found, served->name(), milliseconds_since(kept->arrived),
                                                      explanation_with_overlay_json(explained))};
        },
        done);
  };
  if (!served->submit({{.image = photo, .tensor = {}}}, kept->deadline, std::move(answer))) {
    throw queue_is_full(*served);
  }
}

void Service::explain(AdmittedRequest request, const Done& done) {
  const ExplainQuery query = explain_query(request.route.query);
  const ModelPointer served = find(query.model);
  const ExplainOptions options = options_of(query, *served);
  const auto kept = std::make_shared<AdmittedRequest>(std::move(request));
  const Image photo = Image::encoded(photo_of(*kept), "image");
  submit(
      *served, place_in(*served), kept->deadline,
      [kept, photo, query, options, name = served->name()](Explainer& explainer, const std::stop_token& stop) {
        const PhotoExplanation explained = explain_photo(explainer, photo, options, stop);
        if (query.png) return Response{.content_type = "image/png", .body = overlay_of(explained, query.overlay)};
        return Response{.body = explanation_json(explained, name, milliseconds_since(kept->arrived))};
      },
      done);
}

void Service::features(AdmittedRequest request, const Done& done) {
  const FeatureQuery query = feature_query(request.route.query);
  const ModelPointer served = find(query.model);
  const auto kept = std::make_shared<AdmittedRequest>(std::move(request));
  const Image photo = Image::encoded(photo_of(*kept), "image");
  submit(
      *served, place_in(*served), kept->deadline,
      [kept, photo, query, name = served->name()](Explainer& explainer, const std::stop_token& stop) {
        Session& session = explainer.session();
        const std::vector<float> values =
            session.features(session.preprocess(photo), query.feature, {.batch = 1, .stop = stop});
        return Response{.body = features_json(query.feature, session.shape_of(query.feature), values, name,
                                              milliseconds_since(kept->arrived))};
      },
      done);
}

void Service::infer(AdmittedRequest request, const Done& done) {
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
