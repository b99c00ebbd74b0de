// SPDX-License-Identifier: Apache-2.0
#include "serve/explain_worker.h"

#include <system_error>
#include <utility>

#include "base/error.h"

namespace gcvit::serve {

ExplainWorker::ExplainWorker(std::string name, Model model, const ImageOptions& images, std::size_t queue,
                             Metrics& metrics)
    : name_(std::move(name)), model_(std::move(model)), images_(images), queue_(queue), metrics_(metrics) {
  try {
    worker_ = std::thread([this] { work(); });
    watcher_ = std::thread([this] { watch(); });
  } catch (const std::system_error& error) {
    finish();
    fail(ErrorCode::kIo, "[serve] {}: can't start two threads for explanations: {}", name_, error.code().message());
  }
}

ExplainWorker::Place ExplainWorker::reserve() {
  std::size_t inside = inside_;
  do {
    if (inside >= queue_) return nullptr;
  } while (!inside_.compare_exchange_weak(inside, inside + 1));
  return {&inside_, [](std::atomic<std::size_t>* count) { --*count; }};
}

void ExplainWorker::submit(Place place, Job job) {
  const std::scoped_lock lock(mutex_);
  jobs_.push_back({.place = std::move(place), .job = std::move(job)});
  changed_.notify_all();
}

void ExplainWorker::cancel() {
  const std::scoped_lock lock(mutex_);
  cancelled_ = true;
  if (running_) running_->stop.request_stop();
}

void ExplainWorker::finish() {
  {
    const std::scoped_lock lock(mutex_);
    finished_ = true;
    changed_.notify_all();
  }
  if (worker_.joinable()) worker_.join();
  if (watcher_.joinable()) watcher_.join();
}

void ExplainWorker::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return finished_ || !jobs_.empty(); });
    if (jobs_.empty()) break;
    Queued next = std::move(jobs_.front());
    jobs_.pop_front();
    std::stop_source stop;
    if (cancelled_) stop.request_stop();
    running_ = Running{.deadline = next.job.deadline, .stop = stop};
    changed_.notify_all();
    lock.unlock();
    run(std::move(next), stop.get_token());
    lock.lock();
  }
  ended_ = true;
  changed_.notify_all();
}

void ExplainWorker::run(Queued queued, const std::stop_token& stop) {
  std::exception_ptr error;
  try {
    compute(queued.job, stop);
  } catch (...) {
    error = std::current_exception();
  }
  {
    const std::scoped_lock lock(mutex_);
    running_.reset();
  }
  queued.place.reset();
  queued.job.done(error);
}

void ExplainWorker::compute(const Job& job, const std::stop_token& stop) {
  const Time began = std::chrono::steady_clock::now();
  if (stop.stop_requested()) fail(ErrorCode::kCancelled, "[serve] {}: cancelled", name_);
  if (began > job.deadline) {
    fail(ErrorCode::kCancelled, "[serve] {}: expected an answer in time, found the queue too long", name_);
  }
  job.run(explainer(), stop);
  metrics_.add_stage(Stage::kExplain, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
}

void ExplainWorker::watch() {
  std::unique_lock lock(mutex_);
  while (!ended_) {
    if (!running_ || running_->stop.stop_requested()) {
      changed_.wait(lock);
    } else if (std::chrono::steady_clock::now() >= running_->deadline) {
      running_->stop.request_stop();
    } else {
      changed_.wait_until(lock, running_->deadline);
    }
  }
}

Explainer& ExplainWorker::explainer() {
  if (!explainer_) explainer_.emplace(model_, SessionOptions{.images = images_});
  return *explainer_;
}

}  // namespace gcvit::serve
