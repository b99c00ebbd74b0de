// SPDX-License-Identifier: Apache-2.0
#include "inference/run_images.h"

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <utility>

#include "inference/image_pipeline.h"
#include "inference/session_state.h"

namespace gcvit::inference {
namespace {

/// Results on their way from the pipeline's thread to the caller's.
class Results {
 public:
  void push(ImageLogits result, std::exception_ptr exhausted) {
    {
      const std::scoped_lock lock(mutex_);
      results_.emplace_back(std::move(result), std::move(exhausted));
    }
    pushed_.notify_one();
  }

  /// Waits for the next; throws what ended more than an image.
  ImageLogits pop() {
    std::unique_lock lock(mutex_);
    pushed_.wait(lock, [&] { return !results_.empty(); });
    auto [result, exhausted] = std::move(results_.front());
    results_.pop_front();
    if (exhausted) std::rethrow_exception(exhausted);
    return std::move(result);
  }

 private:
  std::mutex mutex_;
  std::condition_variable pushed_;
  std::deque<std::pair<ImageLogits, std::exception_ptr>> results_;
};

}  // namespace

ModelOptions model_options_of(const ClassifierOptions& options) {
  return {.precision = options.precision,
          .threads = options.threads,
          .image_height = options.image_height,
          .image_width = options.image_width,
          .window_mode = options.window_mode,
          .keras_example_bias = options.keras_example_bias,
          .ema = options.ema,
          .max_memory = options.max_memory};
}

SessionOptions session_options_of(const ClassifierOptions& options) {
  return {
      .images = {.preprocess = options.preprocess, .apply_exif = options.apply_exif, .max_pixels = options.max_pixels}};
}

void run_images(Session& session, int batch, const std::function<std::optional<ImageSource>()>& next,
                const std::function<void(const ImageLogits&)>& take) {
  Results results;  // outlives the pipeline, which still delivers while it ends
  ImagePipeline pipeline(session.state(), {.batch = batch});
  std::size_t inside = 0;
  bool more = true;
  while (true) {
    while (more && inside < pipeline.capacity()) {
      std::optional<ImageSource> source = next();
      more = source.has_value();
      if (!more) break;
      pipeline.submit(
          {.decode = std::move(source->decode),
           .name = std::move(source->name),
           .done = [&results](ImageLogits result,
                              std::exception_ptr exhausted) { results.push(std::move(result), exhausted); }},
          true);
      ++inside;
    }
    if (inside == 0) return;
    const ImageLogits result = results.pop();
    --inside;
    take(result);
  }
}

void run_images(Session& session, int batch, std::span<const Image> images,
                const std::function<void(const ImageLogits&)>& take) {
  run_images(
      session, batch, images.size(),
      [&](std::size_t image) { return decode(images[image], session.state().preparation.decode); },
      [&](std::size_t image) { return images[image].name(); }, take);
}

void run_images(Session& session, int batch, std::size_t count,
                const std::function<image::Image(std::size_t image)>& decode,
                const std::function<std::string(std::size_t image)>& name,
                const std::function<void(const ImageLogits&)>& take) {
  std::size_t given = 0;
  run_images(
      session, batch,
      [&]() -> std::optional<ImageSource> {
        if (given == count) return std::nullopt;
        const std::size_t image = given++;
        return ImageSource{.decode = [&decode, image] { return decode(image); }, .name = name(image)};
      },
      take);
}

}  // namespace gcvit::inference
