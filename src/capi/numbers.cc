// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "capi/guard.h"
#include "capi/handles.h"
#include "capi/run.h"

namespace gcvit::capi {
namespace {

static_assert(same(GCVIT_LEVEL1, Feature::kLevel1) && same(GCVIT_LEVEL2, Feature::kLevel2) &&
              same(GCVIT_LEVEL3, Feature::kLevel3) && same(GCVIT_LEVEL4, Feature::kLevel4) &&
              same(GCVIT_FEATURES, Feature::kFeatures) && same(GCVIT_POOLED, Feature::kPooled));

Feature feature_of(std::int32_t feature) { return checked<Feature>(feature, 6, "feature"); }

/// `count` tensors of a caller.
std::span<const float> tensors_of(Session& session, const float* tensors, std::size_t count) {
  const std::size_t floats = product(count, session.tensor_size());
  if (count != 0) expect_pointer(tensors, "tensors");
  return {tensors, floats};
}

}  // namespace
}  // namespace gcvit::capi

using namespace gcvit::capi;

extern "C" {

gcvit_status gcvit_preprocess(const gcvit_model* model, const gcvit_image* image, float* tensor, size_t floats) {
  return guarded([&] {
    Lease session(opened(model));
    expect_floats(tensor, session->tensor_size(), floats, "tensor");
    session->preprocess(image_of(image), std::span(tensor, floats));
  });
}

gcvit_status gcvit_logits(const gcvit_model* model, const gcvit_image* const* images, size_t count, float* logits,
                          size_t floats) {
  return guarded([&] {
    OpenModel& open = opened(model);
    expect_floats(logits, product(count, open.classes()), floats, "logits");
    run_images(open, images, count, [&](const gcvit::ImageLogits& image) {
      if (!image.error.empty()) throw gcvit::Error(image.code, image.error);
      std::ranges::copy(image.logits, logits + image.image * open.classes());
    });
  });
}

gcvit_status gcvit_logits_of_tensors(const gcvit_model* model, const float* tensors, size_t count, float* logits,
                                     size_t floats) {
  return guarded([&] {
    OpenModel& open = opened(model);
    expect_floats(logits, product(count, open.classes()), floats, "logits");
    Lease session(open);
    const std::span<const float> all = tensors_of(*session, tensors, count);
    if (count != 0) session->logits(all, std::span(logits, floats), {.batch = open.batch});
  });
}

gcvit_status gcvit_probabilities(const gcvit_model* model, const float* logits, size_t count, float* probabilities,
                                 size_t floats) {
  return guarded([&] {
    const OpenModel& open = opened(model);
    const std::size_t classes = open.classes();
    expect_floats(probabilities, product(count, classes), floats, "probabilities");
    if (count != 0) expect_pointer(logits, "logits");
    for (std::size_t first = 0; first < floats; first += classes) {
      open.model.probabilities(std::span(logits + first, classes), std::span(probabilities + first, classes));
    }
  });
}

gcvit_status gcvit_feature_shape(const gcvit_model* model, int32_t feature, int32_t* shape) {
  return guarded([&] {
    OpenModel& open = opened(model);
    expect_pointer(shape, "shape");
    Lease session(open);
    const gcvit::ValueShape value = session->shape_of(feature_of(feature));
    shape[0] = value.height;
    shape[1] = value.width;
    shape[2] = value.channels;
  });
}

gcvit_status gcvit_features(const gcvit_model* model, const gcvit_image* const* images, size_t count, int32_t feature,
                            float* values, size_t floats) {
  return guarded([&] {
    OpenModel& open = opened(model);
    const gcvit::Feature value = feature_of(feature);
    Lease session(open);
    const std::size_t size = session->shape_of(value).size();
    expect_floats(values, product(count, size), floats, "values");
    if (count == 0) return;
    expect_pointer(images, "images");
    const std::span given(images, count);
    for (const gcvit_image* image : given) expect_pointer(image, "image");

    const std::size_t tensor_size = session->tensor_size();
    const std::size_t batch = std::min(static_cast<std::size_t>(open.batch), count);
    std::vector<float> tensors(product(batch, tensor_size));
    for (std::size_t first = 0; first < count; first += batch) {
      const std::size_t now = std::min(batch, count - first);
      for (std::size_t i = 0; i < now; ++i) {
        session->preprocess(given[first + i]->image, std::span(tensors).subspan(i * tensor_size, tensor_size));
      }
      session->features(std::span(tensors).first(now * tensor_size), value,
                        std::span(values, floats).subspan(first * size, now * size), {.batch = open.batch});
    }
  });
}

gcvit_status gcvit_features_of_tensors(const gcvit_model* model, const float* tensors, size_t count, int32_t feature,
                                       float* values, size_t floats) {
  return guarded([&] {
    OpenModel& open = opened(model);
    const gcvit::Feature value = feature_of(feature);
    Lease session(open);
    expect_floats(values, product(count, session->shape_of(value).size()), floats, "values");
    const std::span<const float> all = tensors_of(*session, tensors, count);
    if (count != 0) session->features(all, value, std::span(values, floats), {.batch = open.batch});
  });
}

}  // extern "C"
