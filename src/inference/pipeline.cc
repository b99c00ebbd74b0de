// SPDX-License-Identifier: Apache-2.0
#include "gcvit/pipeline.h"

#include <utility>

#include "inference/image_pipeline.h"
#include "inference/session_state.h"

namespace gcvit {

struct Pipeline::State {
  Session session;
  inference::ImagePipeline pipeline;

  State(Model model, const PipelineOptions& options)
      : session(std::move(model), {.threads = options.threads, .images = options.images}),
        pipeline(session.state(), {.batch = options.batch,
                                   .decode_threads = options.decode_threads,
                                   .capacity = options.capacity,
                                   .in_order = options.in_order}) {}

  bool submit(Image image, std::function<void(ImageLogits result)> done, bool wait) {
    std::string name = image.name();
    const image::DecodeOptions& options = session.state().preparation.decode;
    return pipeline.submit(
        {.decode = [image = std::move(image), &options] { return inference::decode(image, options); },
         .name = std::move(name),
         .done = [done = std::move(done)](ImageLogits result, const std::exception_ptr&) { done(std::move(result)); }},
        wait);
  }
};

Pipeline::Pipeline(Model model, const PipelineOptions& options)
    : state_(std::make_unique<State>(std::move(model), options)) {}
Pipeline::~Pipeline() = default;

const Model& Pipeline::model() const { return state_->session.model(); }

std::future<ImageLogits> Pipeline::submit(Image image) {
  const auto promise = std::make_shared<std::promise<ImageLogits>>();
  std::future<ImageLogits> future = promise->get_future();
  state_->submit(std::move(image), [promise](ImageLogits result) { promise->set_value(std::move(result)); }, true);
  return future;
}

void Pipeline::submit(Image image, std::function<void(ImageLogits result)> done) {
  state_->submit(std::move(image), std::move(done), true);
}

bool Pipeline::try_submit(Image image, std::function<void(ImageLogits result)> done) {
  return state_->submit(std::move(image), std::move(done), false);
}

void Pipeline::finish() { state_->pipeline.finish(); }
void Pipeline::cancel() { state_->pipeline.cancel(); }

}  // namespace gcvit
