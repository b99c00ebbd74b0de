// SPDX-License-Identifier: Apache-2.0
// The routes of a Service that its models answer.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/printable.h"
#include "serve/explanation.h"
#include "serve/inference_request.h"
#include "serve/inference_response.h"
#include "serve/multipart.h"
#include "serve/queries.h"
#include "serve/service.h"

namespace gcvit::serve {
namespace {

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

/// `queue`: which one of the model.
Refusal queue_is_full(const ServedModel& model, std::string_view reason, std::string_view queue) {
  return Refusal(503, reason, fmt::format("[serve] {}: its {} is full; try again later", model.name(), queue))
      .with("Retry-After", "1");
}

/// Takes inputs into the model's queue, or throws `Refusal` 503.
void submit(ServedModel& model, std::vector<ServedModel::Input> inputs, Clock::time_point deadline,
            ServedModel::Done done) {
  if (model.submit(std::move(inputs), deadline, std::move(done))) return;
  throw queue_is_full(model, "queue_full", "queue");
}

ExplainWorker::Place place_in(ServedModel& model) {
  ExplainWorker::Place place = model.explain_worker().reserve();
  if (!place) throw queue_is_full(model, "explain_queue_full", "queue for explanations and features");
  return place;
}

/// The sentence of an `Error` about a model under its name instead of its file's path, which is no client's business.
std::string without_path(std::string sentence, const ServedModel& served) {
  const std::string place = fmt::format("] {}: ", printable(served.model().file()));
  const std::size_t at = sentence.find(place);
  if (at != std::string::npos) sentence.replace(at, place.size(), fmt::format("] {}: ", served.name()));
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

double milliseconds_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

/// Throws where an image has no logits.
void check_result(const ImageLogits& result) {
  if (result.overflowed) throw Refusal(500, "not_finite", result.error);
  if (!result.error.empty()) throw refusal_of(result.code, result.error);
}

/// Makes an answer on the thread of the model's worker.
using Make = std::function<Response(Explainer& explainer, const std::stop_token& stop)>;

void answer_on_worker(ServedModel& served, ExplainWorker::Place place, Clock::time_point deadline, Make make,
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
    answer_on_worker(
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
  submit(*served, {{.image = photo, .tensor = {}}}, kept->deadline, std::move(answer));
}

void Service::explain(AdmittedRequest request, const Done& done) {
  const ExplainQuery query = explain_query(request.route.query);
  const ModelPointer served = find(query.model);
  const ExplainOptions options = options_of(query, *served);
  const auto kept = std::make_shared<AdmittedRequest>(std::move(request));
  const Image photo = Image::encoded(photo_of(*kept), "image");
  answer_on_worker(
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
  answer_on_worker(
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
  submit(*served, std::move(inputs), kept->request.deadline,
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
}

}  // namespace gcvit::serve
