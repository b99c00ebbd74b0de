// SPDX-License-Identifier: Apache-2.0
#include "evaluate/evaluate.h"

#include <vector>

#include "classifier/labels.h"

namespace gcvit::evaluate {

data::ImageFolder read_labelled_photos(const classifier::Session& session, const std::string& root) {
  return data::read_image_folder(root, session.labels, classifier::wordnet_ids(session.labels));
}

Evaluation evaluate(classifier::Session& session, const data::ImageFolder& folder,
                    const std::function<void(std::string_view error)>& progress) {
  std::vector<Photo> photos;
  photos.reserve(folder.photos.size());
  for (const data::LabelledPhoto& photo : folder.photos) photos.push_back(Photo::file(folder.root + "/" + photo.path));
  Evaluation result{Metrics(session.engine.config().classes, session.info.temperature.value_or(1.0))};
  classifier::run_photos(session, photos, [&](const classifier::PhotoLogits& photo) {
    if (photo.error.empty()) {
      result.metrics.add(folder.photos[photo.photo].label, photo.logits);
    } else {
      ++result.skipped;
    }
    progress(photo.error);
  });
  return result;
}

}  // namespace gcvit::evaluate
