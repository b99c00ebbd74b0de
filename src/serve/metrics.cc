// SPDX-License-Identifier: Apache-2.0
#include "serve/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace gcvit::serve {
namespace {

constexpr std::array kSeconds = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0};
constexpr std::array kImages = {1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0};
constexpr std::array<std::string_view, 5> kStages = {"queue", "decode", "batch", "compute", "explain"};

std::string escaped(std::string_view label) {
  std::string out;
  for (const char c : label) {
    if (c == '\\' || c == '"') out.push_back('\\');
    if (c == '\n') {
      out += "\\n";
    } else {
      out.push_back(c);
    }
  }
  return out;
}

void append_head(std::string& text, std::string_view name, std::string_view type, std::string_view help) {
  fmt::format_to(std::back_inserter(text), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

template <typename Number>
void append(std::string& text, std::string_view name, std::string_view labels, Number value) {
  if (labels.empty()) {
    fmt::format_to(std::back_inserter(text), "{} {}\n", name, value);
  } else {
    fmt::format_to(std::back_inserter(text), "{}{{{}}} {}\n", name, labels, value);
  }
}

}  // namespace

void Histogram::add(double value) {
  const auto bound = std::ranges::lower_bound(bounds_, value);
  ++counts_[static_cast<std::size_t>(bound - bounds_.begin())];
  sum_ += value;
}

void Histogram::append_to(std::string& text, std::string_view name, std::string_view labels) const {
  const std::string_view comma = labels.empty() ? "" : ",";
  std::uint64_t so_far = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    so_far += counts_[i];
    const std::string bound = i < bounds_.size() ? fmt::format("{}", bounds_[i]) : "+Inf";
    append(text, fmt::format("{}_bucket", name), fmt::format("{}{}le=\"{}\"", labels, comma, bound), so_far);
  }
  append(text, fmt::format("{}_sum", name), labels, sum_);
  append(text, fmt::format("{}_count", name), labels, so_far);
}

Metrics::Metrics() : stages_(kStages.size(), Histogram(kSeconds)), request_seconds_(kSeconds) {}

void Metrics::count_request(std::string_view route, unsigned status, double seconds) {
  const std::scoped_lock lock(mutex_);
  ++requests_[{std::string(route), status}];
  request_seconds_.add(seconds);
}

void Metrics::count_error(std::string_view reason) {
  const std::scoped_lock lock(mutex_);
  ++errors_[std::string(reason)];
}

void Metrics::add_stage(Stage stage, double seconds) {
  const std::scoped_lock lock(mutex_);
  stages_[static_cast<std::size_t>(stage)].add(seconds);
}

void Metrics::add_batch(const std::string& model, std::size_t images) {
  const std::scoped_lock lock(mutex_);
  batches_.try_emplace(model, kImages).first->second.add(static_cast<double>(images));
}

void Metrics::count_reload(bool succeeded) {
  const std::scoped_lock lock(mutex_);
  ++reloads_[succeeded ? 1 : 0];
}

std::string Metrics::text(std::span<const QueueLengths> queues) const {
  const std::scoped_lock lock(mutex_);
  std::string text;
  append_head(text, "gcvit_requests_total", "counter", "Requests that were answered.");
  for (const auto& [key, count] : requests_) {
    append(text, "gcvit_requests_total", fmt::format("route=\"{}\",status=\"{}\"", escaped(key.first), key.second),
           count);
  }
  append_head(text, "gcvit_errors_total", "counter", "Answers that are errors.");
  for (const auto& [reason, count] : errors_) {
    append(text, "gcvit_errors_total", fmt::format("reason=\"{}\"", escaped(reason)), count);
  }
  append_head(text, "gcvit_request_seconds", "histogram", "From a request's last byte to its answer.");
  request_seconds_.append_to(text, "gcvit_request_seconds", "");
  append_head(text, "gcvit_stage_seconds", "histogram", "An image's time in each stage.");
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    stages_[i].append_to(text, "gcvit_stage_seconds", fmt::format("stage=\"{}\"", kStages[i]));
  }
  append_head(text, "gcvit_batch_images", "histogram", "Images that went through a model together.");
  for (const auto& [model, batches] : batches_) {
    batches.append_to(text, "gcvit_batch_images", fmt::format("model=\"{}\"", escaped(model)));
  }
  append_head(text, "gcvit_queue_images", "gauge", "Images that were accepted and have no result yet.");
  for (const QueueLengths& queue : queues) {
    append(text, "gcvit_queue_images", fmt::format("model=\"{}\"", escaped(queue.model)), queue.images);
  }
  append_head(text, "gcvit_explain_queue", "gauge",
              "Explanations and features that were accepted and have no answer yet.");
  for (const QueueLengths& queue : queues) {
    append(text, "gcvit_explain_queue", fmt::format("model=\"{}\"", escaped(queue.model)), queue.explanations);
  }
  append_head(text, "gcvit_connections", "gauge", "Open connections.");
  append(text, "gcvit_connections", "", connections.load());
  append_head(text, "gcvit_reloads_total", "counter", "Models that were read again.");
  append(text, "gcvit_reloads_total", "result=\"failed\"", reloads_[0]);
  append(text, "gcvit_reloads_total", "result=\"succeeded\"", reloads_[1]);
  return text;
}

}  // namespace gcvit::serve
