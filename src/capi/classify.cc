// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "capi/guard.h"
#include "capi/handles.h"
#include "capi/run.h"

namespace gcvit::capi {

void write_predictions(const OpenModel& model, const std::vector<Prediction>& predictions, gcvit_prediction* out) {
  for (const Prediction& prediction : predictions) {
    const std::string& label = model.model.labels()[static_cast<std::size_t>(prediction.index)];
    *out++ = {prediction.index, prediction.probability, label.c_str()};
  }
}

namespace {

void expect_k(std::int32_t k) {
  if (k < 1) refuse("k", "at least 1", std::to_string(k));
}

struct Result {
  std::vector<gcvit_prediction> predictions;
  gcvit_status status = GCVIT_OK;
  std::string error;
};

}  // namespace
}  // namespace gcvit::capi

struct gcvit_results {
  std::shared_ptr<gcvit::capi::OpenModel> model;  // whose labels they have
  std::vector<gcvit::capi::Result> images;
};

using namespace gcvit::capi;

extern "C" {

gcvit_status gcvit_classify(const gcvit_model* model, const gcvit_image* image, int32_t k,
                            gcvit_prediction* predictions, size_t* found) {
  if (found != nullptr) *found = 0;
  return guarded([&] {
    OpenModel& open = opened(model);
    const gcvit::Image& photo = image_of(image);
    expect_k(k);
    expect_pointer(predictions, "predictions");
    expect_pointer(found, "found");
    Lease session(open);
    const std::vector<gcvit::Prediction> best = open.model.predictions(session->logits(session->preprocess(photo)), k);
    write_predictions(open, best, predictions);
    *found = best.size();
  });
}

gcvit_status gcvit_classify_many(const gcvit_model* model, const gcvit_image* const* images, size_t count, int32_t k,
                                 gcvit_results** results) {
  if (results != nullptr) *results = nullptr;
  return guarded([&] {
    OpenModel& open = opened(model);
    expect_pointer(results, "results");
    expect_k(k);
    auto made = std::make_unique<gcvit_results>();
    made->model = model->opened;
    made->images.resize(count);
    run_images(open, images, count, [&](gcvit::ImageLogits image) {
      Result& result = made->images[image.image];
      if (!image.error.empty()) {
        result.status = status_of(image.code);
        result.error = std::move(image.error);
        return;
      }
      const std::vector<gcvit::Prediction> best = open.model.predictions(image.logits, k);
      result.predictions.resize(best.size());
      write_predictions(open, best, result.predictions.data());
    });
    *results = made.release();
  });
}

gcvit_status gcvit_results_get(const gcvit_results* results, size_t index, const gcvit_prediction** predictions,
                               size_t* found) {
  if (predictions != nullptr) *predictions = nullptr;
  if (found != nullptr) *found = 0;
  gcvit_status own = GCVIT_OK;
  const gcvit_status status = guarded([&] {
    expect_pointer(results, "results");
    expect_pointer(predictions, "predictions");
    expect_pointer(found, "found");
    if (index >= results->images.size()) {
      throw gcvit::Error(gcvit::ErrorCode::kNotFound, "[gcvit.h] image: expected one of " +
                                                          std::to_string(results->images.size()) + ", from 0, found " +
                                                          std::to_string(index));
    }
    const Result& result = results->images[index];
    if (result.status != GCVIT_OK) {
      own = keep_error(result.status, result.error);
      return;
    }
    *predictions = result.predictions.data();
    *found = result.predictions.size();
  });
  return status != GCVIT_OK ? status : own;
}

void gcvit_results_free(gcvit_results* results) { delete results; }

}  // extern "C"
