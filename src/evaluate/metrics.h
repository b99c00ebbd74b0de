// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

namespace gcvit::evaluate {

/// Bins of equal width over confidence (0, 1] that the expected calibration error is taken over.
inline constexpr int kCalibrationBins = 15;

/// Number of a class's photos, and of those classified correctly.
struct ClassCount {
  std::int64_t count = 0;
  std::int64_t correct = 0;
};

/// Photos whose best class has a probability in one of these bins.
struct CalibrationBin {
  std::int64_t count = 0;
  std::int64_t correct = 0;
  double confidence_sum = 0.0;  ///< of the best class's probabilities
};

/// Throws `Error` unless `label` is one of `classes` and there are as many logits.
void check_labelled(std::int32_t classes, std::int32_t label, std::size_t logits);

/// Accuracy and calibration over labelled photos, added one at a time. Sums are in double and in the order of adding, so
/// that the same photos give bitwise the same result.
class Metrics {
 public:
  /// `temperature`: probabilities are softmax(logits / temperature).
  explicit Metrics(std::int32_t classes, double temperature = 1.0);

  /// One photo's true class and logits, as `check_labelled` wants them. Among equal logits the class of lower index
  /// comes first, as in argmax.
  void add(std::int32_t label, std::span<const float> logits);

  std::int32_t classes() const { return classes_; }
  std::int64_t count() const { return count_; }
  std::int64_t top1_correct() const { return top1_; }
  std::int64_t top5_correct() const { return top5_; }
  /// Fractions; 0 without photos.
  double top1() const { return fraction(top1_); }
  double top5() const { return fraction(top5_); }
  /// Mean cross entropy, natural logarithm: -log(probability of the true class).
  double loss() const { return count_ == 0 ? 0.0 : loss_sum_ / static_cast<double>(count_); }
  /// Expected calibration error (Guo et al. 2017): over the bins of the top class's probability, the mean of
  /// |accuracy - mean confidence|, weighted by the photos in each.
  double calibration_error() const;
  /// Bin b holds the photos whose best class has a probability in (b / 15, (b + 1) / 15].
  const std::array<CalibrationBin, kCalibrationBins>& calibration_bins() const { return bins_; }
  const std::vector<ClassCount>& per_class() const { return per_class_; }
  /// Photos of true class `row` taken for class `column`.
  std::int64_t confusion(std::int32_t row, std::int32_t column) const;
  /// The non-empty cells of the confusion matrix, by (row, column); few are for many classes.
  const std::map<std::pair<std::int32_t, std::int32_t>, std::int64_t>& confusions() const { return confusions_; }

 private:
  double fraction(std::int64_t part) const {
    return count_ == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(count_);
  }

  std::int32_t classes_;
  double temperature_;
  std::int64_t count_ = 0;
  std::int64_t top1_ = 0;
  std::int64_t top5_ = 0;
  double loss_sum_ = 0.0;
  std::vector<ClassCount> per_class_;
  std::map<std::pair<std::int32_t, std::int32_t>, std::int64_t> confusions_;
  std::array<CalibrationBin, kCalibrationBins> bins_{};
};

/// Number of photos of true class `row` that were classified as `column`.
struct Confusion {
  std::int64_t count = 0;
  std::int32_t row = 0;
  std::int32_t column = 0;
};

/// The most frequent mistakes, at most `count`; ties in the order of row, then column.
std::vector<Confusion> commonest_confusions(const Metrics& metrics, std::size_t count);

}  // namespace gcvit::evaluate
