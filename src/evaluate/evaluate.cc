// SPDX-License-Identifier: Apache-2.0
#include "evaluate/evaluate.h"

#include "inference/labels.h"

namespace gcvit::evaluate {

data::ImageSet read_labelled_images(const inference::Session& session, const LabelledImages& images) {
  data::ImageSet set = data::open_image_set(images.path, {.split = images.split});
  data::remap_labels(set, session.labels, inference::wordnet_ids(session.labels), images.by_index);
  if (!images.list.empty()) {
    data::restrict_to_list(set, images.list);
  } else if (!images.split) {
    data::restrict_to_validation(set);
  }
  return set;
}

Evaluation evaluate(inference::Session& session, const data::ImageSet& images,
                    const std::function<void(std::string_view error)>& progress) {
  const std::int32_t classes = session.engine.config().classes;
  Evaluation result{.metrics = Metrics(classes, session.info.temperature.value_or(1.0))};
  if (session.info.temperature) result.uncalibrated = Metrics(classes);
  const auto decode = [&](std::size_t image) {
    return data::decode_sample(images.samples[image], session.preparation.decode);
  };
  const auto name = [&](std::size_t image) { return data::describe(images.samples[image]); };
  inference::run_images(session, images.samples.size(), decode, name, [&](const inference::ImageLogits& image) {
    if (image.error.empty()) {
      const std::int32_t label = images.samples[image.image].label;
      result.metrics.add(label, image.logits);
      if (result.uncalibrated) result.uncalibrated->add(label, image.logits);
    } else {
      ++result.skipped;
    }
    progress(image.error);
  });
  return result;
}

}  // namespace gcvit::evaluate
