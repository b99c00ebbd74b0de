// SPDX-License-Identifier: Apache-2.0
#include "serve/served_model.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "image/preprocess.h"
#include "inference/preparation.h"
#include "inference/session_state.h"

namespace gcvit::serve {
namespace {

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

/// What was submitted together, and is answered together.
struct ServedModel::Request {
  std::vector<Input> inputs;
  Clock::time_point submitted;
  Clock::time_point deadline;
  Done done;
  std::vector<Clock::time_point> prepared;
  std::vector<ImageLogits> results;
  std::atomic<std::size_t> left;
};

ServedModel::ServedModel(std::string name, Model model, const BatchingOptions& options, Metrics& metrics)
    : name_(std::move(name)),
      queue_(options.queue),
      metrics_(metrics),
      session_(std::move(model), {.images = options.images}),
      explain_worker_(name_, session_.model(), options.images, options.explain_queue, metrics),
      // One more than is accepted: a result is counted as delivered before the pipeline counts its image out.
      pipeline_(session_.state(),
                {.batch = options.max_batch > 0 ? options.max_batch : session_.state().engine.pool().size(),
                 .capacity = options.queue + 1,
                 .in_order = false,
                 .max_delay = options.max_delay,
                 .on_batch = [this](std::size_t images) {
                   batch_began_ = Clock::now();
                   metrics_.add_batch(name_, images);
                 }}) {}

ServedModel::~ServedModel() {
  pipeline_.finish();
  explain_worker_.finish();
}

void ServedModel::cancel() {
  pipeline_.cancel();
  explain_worker_.cancel();
}

bool ServedModel::submit(std::vector<Input> inputs, Clock::time_point deadline, Done done) {
  const std::size_t count = inputs.size();
  if (count == 0) fail("[serve] {}: expected an image, found none", name_);
  std::size_t inside = inside_;
  do {
    if (count > queue_ - inside) return false;
  } while (!inside_.compare_exchange_weak(inside, inside + count));

  const auto request = std::make_shared<Request>();
  request->inputs = std::move(inputs);
  request->submitted = Clock::now();
  request->deadline = deadline;
  request->done = std::move(done);
  request->prepared.resize(count);
  request->results.resize(count);
  request->left = count;
  for (std::size_t i = 0; i < count; ++i) {
    const std::optional<Image>& image = request->inputs[i].image;
    const bool accepted = pipeline_.submit(
        {.decode = {},
         .prepare = [this, request, i](std::span<float> tensor,
                                       image::PreprocessScratch& scratch) { prepare(*request, i, tensor, scratch); },
         .name = image ? image->name() : fmt::format("tensor {}", i),
         .done = [this, request, i](ImageLogits result,
                                    const std::exception_ptr&) { finish(*request, i, std::move(result)); }},
        true);
    if (!accepted) fail("[serve] {}: its queue is shorter than what it accepted", name_);
  }
  return true;
}

void ServedModel::prepare(Request& request, std::size_t index, std::span<float> tensor,
                          image::PreprocessScratch& scratch) {
  const Clock::time_point began = Clock::now();
  metrics_.add_stage(Stage::kQueue, seconds_between(request.submitted, began));
  if (began > request.deadline) {
    fail(ErrorCode::kCancelled, "[serve] {}: expected an answer in time, found the queue too long", name_);
  }
  const Input& input = request.inputs[index];
  if (input.image) {
    const inference::Preparation& preparation = session_.state().preparation;
    image::preprocess(inference::decode(*input.image, preparation.decode), preparation.preprocess, tensor, scratch);
  } else {
    std::ranges::copy(input.tensor, tensor.begin());
  }
  request.prepared[index] = Clock::now();
  metrics_.add_stage(Stage::kDecode, seconds_between(began, request.prepared[index]));
}

void ServedModel::finish(Request& request, std::size_t index, ImageLogits result) {
  if (!result.logits.empty()) {
    metrics_.add_stage(Stage::kBatch, seconds_between(request.prepared[index], batch_began_));
    metrics_.add_stage(Stage::kCompute, seconds_between(batch_began_, Clock::now()));
  }
  request.results[index] = std::move(result);
  --inside_;
  if (--request.left == 0) request.done(std::move(request.results));
}

}  // namespace gcvit::serve
