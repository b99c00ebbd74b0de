// SPDX-License-Identifier: Apache-2.0
#include "evaluate/evaluate.h"

#include "classifier/labels.h"

namespace gcvit::evaluate {

data::PhotoSet read_labelled_photos(const classifier::Session& session, const LabelledPhotos& photos) {
  data::PhotoSet set = data::open_photo_set(photos.path, {.side = photos.side});
  data::adopt_classes(set, session.labels, classifier::wordnet_ids(session.labels), photos.by_index);
  if (!photos.list.empty()) {
    data::restrict_to_list(set, photos.list);
  } else if (!photos.side) {
    data::restrict_to_validation(set);
  }
  return set;
}

Evaluation evaluate(classifier::Session& session, const data::PhotoSet& photos,
                    const std::function<void(std::string_view error)>& progress) {
  const std::int32_t classes = session.engine.config().classes;
  Evaluation result{.metrics = Metrics(classes, session.info.temperature.value_or(1.0))};
  if (session.info.temperature) result.uncalibrated = Metrics(classes);
  const auto decode = [&](std::size_t photo) {
    return data::decode_sample(photos.samples[photo], session.preparation.decode);
  };
  const auto name = [&](std::size_t photo) { return data::describe(photos.samples[photo]); };
  classifier::run_photos(session, photos.samples.size(), decode, name, [&](const classifier::PhotoLogits& photo) {
    if (photo.error.empty()) {
      const std::int32_t label = photos.samples[photo.photo].label;
      result.metrics.add(label, photo.logits);
      if (result.uncalibrated) result.uncalibrated->add(label, photo.logits);
    } else {
      ++result.skipped;
    }
    progress(photo.error);
  });
  return result;
}

}  // namespace gcvit::evaluate
