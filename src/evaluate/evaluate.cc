// SPDX-License-Identifier: Apache-2.0
#include "evaluate/evaluate.h"

#include "inference/labels.h"
#include "inference/model_state.h"
#include "inference/run_images.h"
#include "inference/session_state.h"

namespace gcvit::evaluate {

data::ImageSet read_labelled_images(const Model& model, const LabelledImages& images) {
  data::ImageSet set = data::open_image_set(images.path, {.split = images.split});
  data::remap_labels(set, model.labels(), inference::wordnet_ids(model.labels()), images.by_index);
  if (!images.list.empty()) {
    data::restrict_to_list(set, images.list);
  } else if (!images.split) {
    data::restrict_to_validation(set);
  }
  return set;
}

Evaluation evaluate(Session& session, int batch, const data::ImageSet& images,
                    const std::function<void(const ImageLogits& image)>& take) {
  const std::int32_t classes = session.model().classes();
  const std::optional<double>& temperature = session.model().state().info.temperature;
  Evaluation result{.metrics = Metrics(classes, temperature.value_or(1.0))};
  if (temperature) result.uncalibrated = Metrics(classes);
  const auto decode = [&](std::size_t image) {
    return data::decode_sample(images.samples[image], session.state().preparation.decode);
  };
  const auto name = [&](std::size_t image) { return data::describe(images.samples[image]); };
  inference::run_images(session, batch, images.samples.size(), decode, name, [&](const ImageLogits& image) {
    if (image.error.empty()) {
      const std::int32_t label = images.samples[image.image].label;
      result.metrics.add(label, image.logits);
      if (result.uncalibrated) result.uncalibrated->add(label, image.logits);
    } else {
      ++result.skipped;
    }
    take(image);
  });
  return result;
}

}  // namespace gcvit::evaluate
