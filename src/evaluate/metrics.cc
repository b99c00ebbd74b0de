// SPDX-License-Identifier: Apache-2.0
#include "evaluate/metrics.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/softmax.h"

namespace gcvit::evaluate {

void check_labelled(std::int32_t classes, std::int32_t label, std::size_t logits) {
  if (label >= 0 && label < classes && logits == static_cast<std::size_t>(classes)) return;
  fail("[evaluate] expected a class below {} and as many logits, found class {} and {} logits", classes, label, logits);
}

Metrics::Metrics(std::int32_t classes, double temperature)
    : classes_(classes), temperature_(temperature), per_class_(static_cast<std::size_t>(classes)) {}

void Metrics::add(std::int32_t label, std::span<const float> logits) {
  check_labelled(classes_, label, logits.size());
  const auto truth = static_cast<std::size_t>(label);
  // The number of classes before the true one when sorted.
  std::int64_t before = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > logits[truth] || (logits[i] == logits[truth] && i < truth)) ++before;
  }
  const auto best = static_cast<std::size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());

  const double largest = logits[best];
  const double sum = softmax_denominator(logits, temperature_);
  const double confidence = 1.0 / sum;

  ++count_;
  top1_ += before == 0;
  top5_ += before < 5;
  loss_sum_ += std::log(sum) - (static_cast<double>(logits[truth]) - largest) / temperature_;
  ++per_class_[truth].count;
  per_class_[truth].correct += before == 0;
  ++confusions_[{label, static_cast<std::int32_t>(best)}];
  const int bin = std::clamp(static_cast<int>(std::ceil(confidence * kCalibrationBins)) - 1, 0, kCalibrationBins - 1);
  CalibrationBin& found = bins_[static_cast<std::size_t>(bin)];
  ++found.count;
  found.correct += before == 0;
  found.confidence_sum += confidence;
}

double Metrics::calibration_error() const {
  double error = 0.0;
  for (const CalibrationBin& bin : bins_) error += std::abs(static_cast<double>(bin.correct) - bin.confidence_sum);
  return count_ == 0 ? 0.0 : error / static_cast<double>(count_);
}

std::int64_t Metrics::confusion(std::int32_t row, std::int32_t column) const {
  const auto found = confusions_.find({row, column});
  return found == confusions_.end() ? 0 : found->second;
}

std::vector<Confusion> commonest_confusions(const Metrics& metrics, std::size_t count) {
  std::vector<Confusion> all;
  for (const auto& [cell, found] : metrics.confusions()) {
    if (cell.first != cell.second) all.push_back({found, cell.first, cell.second});
  }
  std::stable_sort(all.begin(), all.end(), [](const Confusion& a, const Confusion& b) { return a.count > b.count; });
  if (all.size() > count) all.resize(count);
  return all;
}

}  // namespace gcvit::evaluate
