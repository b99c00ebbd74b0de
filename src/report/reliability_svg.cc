// SPDX-License-Identifier: Apache-2.0
#include "report/reliability_svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace gcvit::report {
namespace {

constexpr double kWidth = 480.0;
constexpr double kHeight = 300.0;
constexpr double kLeft = 52.0;
constexpr double kRight = 464.0;
constexpr double kTop = 16.0;
constexpr double kBottom = 248.0;

double x_of(double probability) { return kLeft + (kRight - kLeft) * probability; }
double y_of(double share) { return kBottom - (kBottom - kTop) * share; }

std::string axes() {
  std::string text;
  for (int i = 0; i <= 4; ++i) {
    const double tick = 0.25 * i;
    text += fmt::format(
        "<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
        "<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:.0f} %</text>"
        "<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{:.0f} %</text>\n",
        kLeft, kRight, y_of(tick), y_of(tick), kLeft - 8.0, y_of(tick) + 4.0, 100.0 * tick, x_of(tick), kBottom + 18.0,
        100.0 * tick);
  }
  return text + fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">probability of the best class</text>\n",
                            (kLeft + kRight) / 2.0, kBottom + 38.0);
}

}  // namespace

std::string reliability_chart(const evaluate::Metrics& metrics) {
  std::string text = fmt::format(
      "<svg class=\"reliability\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\" "
      "aria-label=\"share of right answers by probability\">\n{}",
      kWidth, kHeight, axes());
  const auto& bins = metrics.calibration_bins();
  std::int64_t most = 1;
  for (const evaluate::CalibrationBin& bin : bins) most = std::max(most, bin.count);
  const double width = (kRight - kLeft) / evaluate::kCalibrationBins;
  for (std::size_t i = 0; i < bins.size(); ++i) {
    const evaluate::CalibrationBin& bin = bins[i];
    if (bin.count == 0) continue;
    const auto count = static_cast<double>(bin.count);
    const double share = static_cast<double>(bin.correct) / count;
    // A bin of few photos says little, and is drawn fainter.
    text += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" opacity=\"{:.2f}\"><title>{} of {} photos "
        "right ({:.1f} %), mean probability {:.1f} %</title></rect>\n",
        x_of(static_cast<double>(i) / evaluate::kCalibrationBins) + 1.0, y_of(std::max(share, 0.01)), width - 2.0,
        kBottom - y_of(std::max(share, 0.01)), 0.35 + 0.65 * count / static_cast<double>(most), bin.correct, bin.count,
        100.0 * share, 100.0 * bin.confidence_sum / count);
  }
  return text + fmt::format("<line class=\"ideal\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>\n</svg>\n", kLeft, kBottom,
                            kRight, kTop);
}

}  // namespace gcvit::report
