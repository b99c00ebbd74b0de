// SPDX-License-Identifier: Apache-2.0
#include "explain/grad_cam_picture.h"

#include <vector>

#include "explain/overlay.h"
#include "inference/preparation.h"
#include "inference/session_state.h"

namespace gcvit::explain {

image::Image grad_cam_picture(Explainer& explainer, const image::Image& photo, std::int32_t target,
                              const image::Image& picture, const image::Area& part) {
  Session& session = explainer.session();
  const image::PreprocessConfig& preprocess = session.state().preparation.preprocess;
  std::vector<float> tensor(session.tensor_size());
  image::PreprocessScratch scratch;
  image::preprocess(photo, preprocess, tensor, scratch);
  const Explanation explanation = explainer.grad_cam(tensor, {.target = target});
  const image::Area seen = image::seen_area(photo.height, photo.width, preprocess);
  const double down = picture.height / part.height;
  const double across = picture.width / part.width;
  return coloured(
      picture,
      {down * (seen.top - part.top), across * (seen.left - part.left), down * seen.height, across * seen.width},
      explanation);
}

}  // namespace gcvit::explain
