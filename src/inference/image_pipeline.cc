// SPDX-License-Identifier: Apache-2.0
#include "inference/image_pipeline.h"

#include <unistd.h>

#include <algorithm>
#include <new>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/resource_error.h"
#include "inference/model_state.h"

namespace gcvit::inference {
namespace {

/// Added to the nice value of threads that decode.
constexpr int kLowerPriority = 10;

}  // namespace

std::size_t checked_batch(int batch) {
  if (batch < 1 || batch > kMaximalBatch) {
    fail("[classifier] batch: expected 1 to {} photos, found {}", kMaximalBatch, batch);
  }
  return static_cast<std::size_t>(batch);
}

ImagePipeline::ImagePipeline(Session::State& session, const ImagePipelineOptions& options)
    : session_(session),
      batch_(checked_batch(options.batch)),
      in_order_(options.in_order),
      max_delay_(options.max_delay),
      on_batch_(options.on_batch) {
  const int decode_threads = options.decode_threads == 0 ? session_.engine.pool().size() : options.decode_threads;
  if (decode_threads < 1 || decode_threads > kMaximalDecodeThreads) {
    fail("[pipeline] decode_threads: expected 0 (as many as compute) to {}, found {}", kMaximalDecodeThreads,
         options.decode_threads);
  }
  capacity_ = options.capacity == 0 ? 2 * batch_ + static_cast<std::size_t>(decode_threads) : options.capacity;
  const std::size_t size = session_.preparation.tensor_size();
  const std::size_t together = std::min(batch_, capacity_);
  session_.engine.check_memory(together, static_cast<double>(capacity_) * static_cast<double>(size));
  tensors_.resize(together * size);
  try {
    start_threads(decode_threads);
  } catch (const std::system_error& error) {
    shut_down();
    throw ResourceError(
        fmt::format("[image] can't start {} threads that decode: {}", decode_threads, error.code().message()));
  } catch (...) {
    shut_down();
    throw;
  }
}

void ImagePipeline::start_threads(int decode_threads) {
  const std::size_t count = std::min(static_cast<std::size_t>(decode_threads), capacity_);
  decoders_.reserve(count);
  for (std::size_t i = 0; i < count; ++i) decoders_.emplace_back([this] { decode_images(); });
  computer_ = std::thread([this] { compute(); });
}

ImagePipeline::~ImagePipeline() {
  cancel();
  shut_down();
}

void ImagePipeline::shut_down() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  work_.notify_all();
  ready_.notify_all();
  changed_.notify_all();
  for (std::thread& decoder : decoders_) decoder.join();
  decoders_.clear();
  if (computer_.joinable()) computer_.join();
}

bool ImagePipeline::submit(Job job, bool wait) {
  {
    std::unique_lock lock(mutex_);
    const auto open = [&] { return cancelled_ || finished_ || inside_ < capacity_; };
    if (wait) changed_.wait(lock, open);
    if (cancelled_) fail(ErrorCode::kCancelled, "[pipeline] it was cancelled");
    if (finished_) fail("[pipeline] it was finished: no image can be submitted any more");
    if (inside_ >= capacity_) return false;
    auto slot = std::make_unique<Slot>();
    slot->job = std::move(job);
    slot->index = submitted_++;
    ++inside_;
    slots_.push_back(std::move(slot));
  }
  work_.notify_one();
  return true;
}

void ImagePipeline::finish() {
  std::unique_lock lock(mutex_);
  finished_ = true;
  ready_.notify_all();
  changed_.notify_all();
  changed_.wait(lock, [&] { return inside_ == 0 || stop_; });
}

void ImagePipeline::cancel() {
  {
    const std::scoped_lock lock(mutex_);
    cancelled_ = true;
    for (const auto& slot : slots_) {
      if (slot->stage != Stage::kDecoding) set_cancelled(*slot);
    }
  }
  ready_.notify_all();
  changed_.notify_all();
}

void ImagePipeline::set_cancelled(Slot& slot) {
  slot.stage = Stage::kReady;
  if (!slot.error.empty()) return;
  slot.code = ErrorCode::kCancelled;
  slot.error = fmt::format("[pipeline] {}: cancelled", slot.job.name);
}

void ImagePipeline::decode_images() {
  // On Linux a thread's own value.
  static_cast<void>(nice(kLowerPriority));
  image::PreprocessScratch scratch;
  while (true) {
    Slot* slot = nullptr;
    {
      std::unique_lock lock(mutex_);
      const auto is_waiting = [](const auto& one) { return one->stage == Stage::kWaiting; };
      auto found = slots_.end();
      work_.wait(lock, [&] {
        found = std::ranges::find_if(slots_, is_waiting);
        return stop_ || found != slots_.end();
      });
      if (found == slots_.end()) return;
      slot = found->get();
      slot->stage = Stage::kDecoding;
      if (!free_tensors_.empty()) {
        slot->tensor = std::move(free_tensors_.back());
        free_tensors_.pop_back();
      }
    }
    decode(*slot, scratch);
    {
      const std::scoped_lock lock(mutex_);
      slot->stage = Stage::kReady;
      if (cancelled_) set_cancelled(*slot);
    }
    ready_.notify_one();
  }
}

void ImagePipeline::decode(Slot& slot, image::PreprocessScratch& scratch) const {
  try {
    slot.tensor.resize(session_.preparation.tensor_size());
    if (slot.job.prepare) {
      slot.job.prepare(slot.tensor, scratch);
    } else {
      image::preprocess(slot.job.decode(), session_.preparation.preprocess, slot.tensor, scratch);
    }
  } catch (const ResourceError& error) {
    slot.exhausted = std::current_exception();
    slot.error = error.what();
    slot.code = error.code();
  } catch (const Error& error) {
    slot.error = error.what();
    slot.code = error.code();
  } catch (const std::bad_alloc&) {
    slot.error = "[image] not enough memory for it";
    slot.code = ErrorCode::kOutOfBudget;
  } catch (...) {
    slot.exhausted = std::current_exception();
    slot.error = fmt::format("[pipeline] {}: its source failed", slot.job.name);
    slot.code = ErrorCode::kIo;
  }
}

bool ImagePipeline::has_ready() const {
  const auto is_ready = [](const auto& slot) { return slot->stage == Stage::kReady; };
  if (slots_.empty()) return false;
  return in_order_ ? is_ready(slots_.front()) : std::ranges::any_of(slots_, is_ready);
}

bool ImagePipeline::has_full_batch() const {
  if (stop_ || finished_ || cancelled_) return true;
  const auto is_ready = [](const auto& slot) { return slot->stage == Stage::kReady; };
  return static_cast<std::size_t>(std::ranges::count_if(slots_, is_ready)) >= batch_;
}

ImagePipeline::Slots ImagePipeline::take_ready() {
  std::unique_lock lock(mutex_);
  ready_.wait(lock, [&] { return has_ready() || (stop_ && slots_.empty()); });
  if (max_delay_.count() > 0) ready_.wait_for(lock, max_delay_, [&] { return has_full_batch(); });
  Slots ready;
  std::size_t whole = 0;
  for (auto slot = slots_.begin(); slot != slots_.end() && whole < batch_;) {
    if ((*slot)->stage == Stage::kReady) {
      whole += (*slot)->error.empty() ? 1 : 0;
      ready.push_back(std::move(*slot));
      slot = slots_.erase(slot);
    } else if (in_order_) {
      break;
    } else {
      ++slot;
    }
  }
  return ready;
}

void ImagePipeline::compute() {
  while (true) {
    Slots ready = take_ready();
    if (ready.empty()) return;
    run(ready);
  }
}

void ImagePipeline::run(Slots& ready) {
  const std::size_t size = session_.preparation.tensor_size();
  const auto classes = static_cast<std::size_t>(session_.model.classes());
  std::size_t whole = 0;
  for (const auto& slot : ready) {
    if (!slot->error.empty()) continue;
    std::ranges::copy(slot->tensor, tensors_.begin() + static_cast<std::ptrdiff_t>(whole * size));
    ++whole;
  }
  std::span<const float> logits;
  std::string broken;
  ErrorCode code = ErrorCode::kIo;
  std::exception_ptr exhausted;
  if (whole > 0 && on_batch_) on_batch_(whole);
  try {
    if (whole > 0) logits = session_.engine.run({tensors_.data(), whole * size});
  } catch (const Error& error) {
    exhausted = std::current_exception();
    broken = error.what();
    code = error.code();
  } catch (const std::exception& error) {
    exhausted = std::current_exception();
    broken = fmt::format("[classifier] {}", error.what());
    code = ErrorCode::kOutOfBudget;
  }
  for (const auto& slot : ready) {
    ImageLogits result{
        .image = slot->index, .name = slot->job.name, .logits = {}, .error = slot->error, .code = slot->code};
    if (result.error.empty() && !broken.empty()) {
      result.error = broken;
      result.code = code;
      slot->exhausted = exhausted;
    } else if (result.error.empty()) {
      const std::span<const float> own = logits.first(classes);
      logits = logits.subspan(classes);
      if (const std::string wrong = not_finite(own); wrong.empty()) {
        result.logits.assign(own.begin(), own.end());
      } else {
        result.error = fmt::format("[classifier] {}: {}", slot->job.name, wrong);
        result.overflowed = true;
      }
    }
    deliver(*slot, std::move(result));
  }
}

void ImagePipeline::deliver(Slot& slot, ImageLogits result) {
  slot.job.done(std::move(result), slot.exhausted);
  {
    const std::scoped_lock lock(mutex_);
    --inside_;
    free_tensors_.push_back(std::move(slot.tensor));
  }
  changed_.notify_all();
}

}  // namespace gcvit::inference
