// SPDX-License-Identifier: Apache-2.0
// What a model does beside its batches: explanations and features, one after the other, on a thread of their own.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "gcvit/explain.h"
#include "gcvit/model.h"
#include "gcvit/session.h"
#include "serve/metrics.h"

namespace gcvit::serve {

/// Any number of threads may submit. Its computing takes turns with the batches' on the model's threads.
class ExplainWorker {
 public:
  using Time = std::chrono::steady_clock::time_point;
  /// Room for a job in the queue, until the last copy is gone. It must not outlive the worker.
  using Place = std::shared_ptr<std::atomic<std::size_t>>;

  struct Job {
    Time deadline;
    /// Called on the worker's thread, unless the deadline is over; `stop` asks it to end when the deadline comes, or at `cancel`.
    std::function<void(Explainer& explainer, const std::stop_token& stop)> run;
    /// Called once, behind `run` or instead of it, with what it threw. It must not throw.
    std::function<void(const std::exception_ptr& error)> done;
  };

  /// Throws `Error` when its threads can't be started. The explainer is made for the first job.
  ExplainWorker(std::string name, Model model, const ImageOptions& images, std::size_t queue, Metrics& metrics);
  /// Waits for all jobs.
  ~ExplainWorker() { finish(); }
  ExplainWorker(const ExplainWorker&) = delete;
  ExplainWorker& operator=(const ExplainWorker&) = delete;

  /// Null when the queue is full.
  Place reserve();
  void submit(Place place, Job job);
  /// Jobs that were reserved or submitted and aren't done.
  std::size_t waiting() const { return inside_; }

  /// What isn't done gets an `Error` of code kCancelled, and so does what is submitted from now on.
  void cancel();
  /// Waits for all jobs; nothing may be submitted afterwards.
  void finish();

 private:
  struct Queued {
    Place place;
    Job job;
  };
  struct Running {
    Time deadline;
    std::stop_source stop;
  };

  void work();
  void run(Queued queued, const std::stop_token& stop);
  void compute(const Job& job, const std::stop_token& stop);
  /// Stops jobs that run at their deadline.
  void watch();
  Explainer& explainer();

  std::string name_;
  Model model_;
  ImageOptions images_;
  std::size_t queue_;
  Metrics& metrics_;
  std::atomic<std::size_t> inside_ = 0;
  std::optional<Explainer> explainer_;  ///< of the worker's thread

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Queued> jobs_;
  std::optional<Running> running_;
  bool cancelled_ = false;
  bool finished_ = false;  ///< no job will come any more
  bool ended_ = false;  ///< no job will run any more

  std::thread worker_;
  std::thread watcher_;
};

}  // namespace gcvit::serve
