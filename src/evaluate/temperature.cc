// SPDX-License-Identifier: Apache-2.0
#include "evaluate/temperature.h"

#include <algorithm>
#include <cmath>

namespace gcvit::evaluate {
namespace {

/// The mean cross entropy's first and second derivative by b = 1 / temperature: with p = softmax(b z) they are the means
/// of E_p[z] - z_label and of Var_p[z]. The second is never below 0, so the loss has one minimum.
struct Slope {
  double first = 0.0;
  double second = 0.0;
};

Slope slope_at(const LabelledLogits& photos, double inverse) {
  Slope slope;
  for (std::size_t photo = 0; photo < photos.size(); ++photo) {
    const std::span<const float> logits = photos.logits(photo);
    const double largest = *std::max_element(logits.begin(), logits.end());
    double sum = 0.0;
    double mean = 0.0;
    double square = 0.0;
    for (const float logit : logits) {
      const double below = static_cast<double>(logit) - largest;
      const double weight = std::exp(inverse * below);
      sum += weight;
      mean += weight * below;
      square += weight * below * below;
    }
    mean /= sum;
    const auto truth = static_cast<std::size_t>(photos.label(photo));
    slope.first += mean - (static_cast<double>(logits[truth]) - largest);
    slope.second += square / sum - mean * mean;
  }
  return slope;
}

bool all_lead(const LabelledLogits& photos) {
  for (std::size_t photo = 0; photo < photos.size(); ++photo) {
    const std::span<const float> logits = photos.logits(photo);
    const float truth = logits[static_cast<std::size_t>(photos.label(photo))];
    if (truth < *std::max_element(logits.begin(), logits.end())) return false;
  }
  return true;
}

}  // namespace

std::optional<double> fit_temperature(const LabelledLogits& photos) {
  if (all_lead(photos)) return std::nullopt;
  double low = 1.0 / kHighestTemperature;
  double high = 1.0 / kLowestTemperature;
  if (slope_at(photos, low).first >= 0.0) return kHighestTemperature;
  if (slope_at(photos, high).first <= 0.0) return kLowestTemperature;
  // Newton's method, kept between the last point on either side of the minimum.
  double inverse = 1.0;
  for (int round = 0; round < 100 && high - low > 1e-12 * high; ++round) {
    const Slope slope = slope_at(photos, inverse);
    (slope.first < 0.0 ? low : high) = inverse;
    const double newton = inverse - slope.first / slope.second;
    const double next = newton > low && newton < high ? newton : std::sqrt(low * high);
    const double change = std::abs(next - inverse);
    inverse = next;
    if (change <= 1e-12 * inverse) break;
  }
  return 1.0 / inverse;
}

}  // namespace gcvit::evaluate
