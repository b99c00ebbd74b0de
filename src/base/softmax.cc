// SPDX-License-Identifier: Apache-2.0
#include "base/softmax.h"

#include <algorithm>
#include <cmath>

namespace gcvit {
namespace {

/// Calls `take(i, x, exp(x))` with x = (logits[i] - largest) / temperature for each i, and returns the sum of the exp(x).
template <typename Take>
double for_each_shifted(std::span<const float> logits, double temperature, const Take& take) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double shifted = (static_cast<double>(logits[i]) - largest) / temperature;
    const double power = std::exp(shifted);
    take(i, shifted, power);
    sum += power;
  }
  return sum;
}

}  // namespace

std::vector<double> softmax(std::span<const float> logits, double temperature) {
  std::vector<double> probabilities(logits.size());
  const double sum =
      for_each_shifted(logits, temperature, [&](std::size_t i, double, double power) { probabilities[i] = power; });
  for (double& probability : probabilities) probability /= sum;
  return probabilities;
}

void log_softmax(std::span<const float> logits, double temperature, std::span<double> out) {
  const double log_sum =
      std::log(for_each_shifted(logits, temperature, [&](std::size_t i, double shifted, double) { out[i] = shifted; }));
  for (double& value : out) value -= log_sum;
}

double softmax_denominator(std::span<const float> logits, double temperature) {
  return for_each_shifted(logits, temperature, [](std::size_t, double, double) {});
}

}  // namespace gcvit
