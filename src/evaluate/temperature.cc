// SPDX-License-Identifier: Apache-2.0
#include "evaluate/temperature.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace gcvit::evaluate {
namespace {

/// The mean cross entropy's first and second derivative by b = 1 / temperature: with p = softmax(b z) they are the means
/// of E_p[z] - z_label and of Var_p[z]. The second is never below 0, so the loss has one minimum.
struct Slope {
  double first = 0.0;
  double second = 0.0;
};

Slope slope_at(const LabelledLogits& images, double inverse) {
  Slope slope;
  for (std::size_t image = 0; image < images.size(); ++image) {
    const std::span<const float> logits = images.logits(image);
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
    const auto truth = static_cast<std::size_t>(images.label(image));
    slope.first += mean - (static_cast<double>(logits[truth]) - largest);
    slope.second += square / sum - mean * mean;
  }
  return slope;
}

bool all_lead(const LabelledLogits& images) {
  for (std::size_t image = 0; image < images.size(); ++image) {
    const std::span<const float> logits = images.logits(image);
    const float truth = logits[static_cast<std::size_t>(images.label(image))];
    if (truth < *std::max_element(logits.begin(), logits.end())) return false;
  }
  return true;
}

constexpr std::size_t kParts = 5;

/// Figures of all photos, each with the temperature that the photos of the other parts give; nothing where one part's
/// others give none.
std::optional<Metrics> cross_validated(const LabelledLogits& images) {
  Metrics metrics(images.classes());
  std::vector<float> scaled(static_cast<std::size_t>(images.classes()));
  for (std::size_t part = 0; part < kParts; ++part) {
    LabelledLogits others(images.classes());
    for (std::size_t image = 0; image < images.size(); ++image) {
      if (image % kParts != part) others.add(images.label(image), images.logits(image));
    }
    const std::optional<double> temperature = fit_temperature(others);
    if (!temperature) return std::nullopt;
    for (std::size_t image = part; image < images.size(); image += kParts) {
      std::ranges::transform(images.logits(image), scaled.begin(), [&](float logit) {
        return static_cast<float>(static_cast<double>(logit) / *temperature);
      });
      metrics.add(images.label(image), scaled);
    }
  }
  return metrics;
}

}  // namespace

std::optional<double> fit_temperature(const LabelledLogits& images) {
  if (all_lead(images)) return std::nullopt;
  double low = 1.0 / kHighestTemperature;
  double high = 1.0 / kLowestTemperature;
  if (slope_at(images, low).first >= 0.0 || slope_at(images, high).first <= 0.0) return std::nullopt;
  // Newton's method, kept between the last point on either side of the minimum.
  double inverse = 1.0;
  for (int round = 0; round < 100 && high - low > 1e-12 * high; ++round) {
    const Slope slope = slope_at(images, inverse);
    (slope.first < 0.0 ? low : high) = inverse;
    const double newton = inverse - slope.first / slope.second;
    const double next = newton > low && newton < high ? newton : std::sqrt(low * high);
    const double change = std::abs(next - inverse);
    inverse = next;
    if (change <= 1e-12 * inverse) break;
  }
  return 1.0 / inverse;
}

Calibration calibrate(const LabelledLogits& images) {
  if (images.size() < kFewestImagesOfCalibration) {
    return {{}, fmt::format("{} photos are too few: it takes {}", images.size(), kFewestImagesOfCalibration)};
  }
  if (all_lead(images)) return {{}, "the model is right on every photo, which says nothing of how sure is too sure"};
  const std::optional<double> temperature = fit_temperature(images);
  if (!temperature) {
    return {{}, fmt::format("none from {} to {} fits the photos", kLowestTemperature, kHighestTemperature)};
  }
  const std::optional<Metrics> with = cross_validated(images);
  if (!with) return {{}, "in cross-validation some of the photos are fitted by none"};
  const Metrics without = images.metrics();
  if (!(with->loss() < without.loss())) {
    return {{},
            fmt::format("on photos that had no part in the fit the loss would be {:.4f} instead of {:.4f}",
                        with->loss(), without.loss())};
  }
  if (with->calibration_error() > without.calibration_error()) {
    return {{},
            fmt::format("on photos that had no part in the fit the calibration error would be {:.4f} instead of {:.4f}",
                        with->calibration_error(), without.calibration_error())};
  }
  return {temperature, ""};
}

}  // namespace gcvit::evaluate
