// SPDX-License-Identifier: Apache-2.0
#include "capi/run.h"

#include <algorithm>
#include <exception>
#include <span>
#include <utility>

#include "capi/guard.h"

namespace gcvit::capi {

void run_images(OpenModel& model, const gcvit_image* const* images, std::size_t count,
                const std::function<void(ImageLogits image)>& take) {
  if (count == 0) return;
  expect_pointer(images, "images");
  const std::span given(images, count);
  for (const gcvit_image* image : given) expect_pointer(image, "image");

  std::exception_ptr thrown;  // outlives the pipeline, which still delivers while it ends
  PipelineOptions options;
  // No more than there are images, which is what their memory is held against.
  options.batch = static_cast<int>(std::min(static_cast<std::size_t>(model.batch), count));
  options.images = model.session_options.images;
  Pipeline pipeline(model.model, options);
  for (const gcvit_image* image : given) {
    pipeline.submit(image->image, [&](ImageLogits logits) {
      if (thrown) return;
      try {
        take(std::move(logits));
      } catch (...) {
        thrown = std::current_exception();
      }
    });
  }
  pipeline.finish();
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace gcvit::capi
