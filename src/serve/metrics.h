// SPDX-License-Identifier: Apache-2.0
// What the server counts and times, in Prometheus' text format.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gcvit::serve {

/// How many values were at most each bound.
class Histogram {
 public:
  /// `bounds` ascend and outlive the histogram.
  explicit Histogram(std::span<const double> bounds) : bounds_(bounds), counts_(bounds.size() + 1) {}

  void add(double value);
  /// Appends the lines of Prometheus for it; `labels` is empty or "a=\"b\"".
  void append_to(std::string& text, std::string_view name, std::string_view labels) const;

 private:
  std::span<const double> bounds_;
  std::vector<std::uint64_t> counts_;  ///< of each bound alone, and of what is above all
  double sum_ = 0.0;
};

/// Where an image's time goes.
enum class Stage : std::uint8_t {
  kQueue,    ///< until a thread takes it
  kDecode,   ///< from bytes to a tensor
  kBatch,    ///< until the model takes it
  kCompute,  ///< in the model, with the images of its batch
  kExplain,  ///< an explanation, or features, from the photo's bytes to the answer
};

/// What a model accepted and hasn't answered.
struct QueueLengths {
  std::string model;
  std::size_t images = 0;
  std::size_t explanations = 0;  ///< and features
};

/// Any number of threads may call it.
class Metrics {
 public:
  Metrics();

  /// A request that was answered. `route` is a pattern of the router, or "none".
  void count_request(std::string_view route, unsigned status, double seconds);
  /// An answer that is an error.
  void count_error(std::string_view reason);
  void add_stage(Stage stage, double seconds);
  void add_batch(const std::string& model, std::size_t images);
  void count_reload(bool succeeded);

  std::atomic<std::int64_t> connections = 0;  ///< open now

  std::string text(std::span<const QueueLengths> queues) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, unsigned>, std::uint64_t> requests_;
  std::map<std::string, std::uint64_t> errors_;
  std::map<std::string, Histogram> batches_;
  std::vector<Histogram> stages_;
  Histogram request_seconds_;
  std::uint64_t reloads_[2] = {0, 0};  ///< that failed, that succeeded
};

}  // namespace gcvit::serve
