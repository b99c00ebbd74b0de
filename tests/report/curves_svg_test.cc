// SPDX-License-Identifier: Apache-2.0
#include "report/curves_svg.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/report/markup.h"

namespace gcvit::report {
namespace {

using Ticks = std::vector<double>;

std::vector<EpochRow> rows(std::int32_t count) {
  std::vector<EpochRow> all;
  for (std::int32_t epoch = 1; epoch <= count; ++epoch) {
    const double share = 1.0 / epoch;
    all.push_back({epoch, 0.2 + share, 1.0 - 0.5 * share, 0.4 + share, 0.9 - 0.5 * share, 1e-3, 60.0, 10.0});
  }
  return all;
}

std::size_t count(const std::string& text, std::string_view part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(AxisTicks, AreRoundAndReachAround) {
  EXPECT_EQ(axis_ticks(0.0, 1.0, 5), (Ticks{0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0}));
  EXPECT_EQ(axis_ticks(3.0, 17.0, 5), (Ticks{0.0, 5.0, 10.0, 15.0, 20.0}));
  EXPECT_EQ(axis_ticks(1.0, 5.0, 8, true), (Ticks{1.0, 2.0, 3.0, 4.0, 5.0}));
  EXPECT_EQ(axis_ticks(1.0, 300.0, 8, true), (Ticks{0.0, 50.0, 100.0, 150.0, 200.0, 250.0, 300.0}));
  for (const double low : {-3e5, -0.1, 0.0, 1e-9, 0.013, 7.0}) {
    for (const double span : {1e-9, 3e-4, 0.5, 1.0, 42.0, 9.99e6}) {
      const Ticks ticks = axis_ticks(low, low + span, 5);
      EXPECT_GE(ticks.size(), 2u) << low << " " << span;
      EXPECT_LE(ticks.size(), 8u) << low << " " << span;
      EXPECT_LE(ticks.front(), low + 1e-6 * span);
      EXPECT_GE(ticks.back(), low + span - 1e-6 * span);
    }
  }
}

TEST(CurvesSvg, IsWellFormedAndHasBothCurvesOfBoth) {
  const std::string svg = curves_svg(rows(5));
  EXPECT_EQ(testing::complaint_about_markup(svg), "");
  EXPECT_TRUE(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
  EXPECT_EQ(count(svg, "<path "), 4u);
  EXPECT_EQ(count(svg, "<circle "), 20u);
  EXPECT_NE(svg.find(">val_loss 0.6000</text>"), std::string::npos) << svg;
  EXPECT_NE(svg.find("<title>epoch 5: accuracy 0.9000</title>"), std::string::npos);
  EXPECT_EQ(svg.find("script"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

TEST(CurvesSvg, HigherValuesStandHigherAndLaterOnesFurtherRight) {
  std::vector<EpochRow> two = rows(2);
  two[0].loss = 1.0;
  two[1].loss = 0.0;
  two[0].val_loss = two[1].val_loss = std::nullopt;
  EXPECT_NE(curve_chart(two, Curves::kLoss).find("d=\"M52.0 58.0 L464.0 258.0\""), std::string::npos);
}

TEST(CurvesSvg, DrawsWhateverThereIs) {
  for (const std::int32_t epochs : {0, 1, 2, 61, 1000}) {
    const std::string svg = curves_svg(rows(epochs));
    EXPECT_EQ(testing::complaint_about_markup(svg), "") << epochs;
    EXPECT_EQ(svg.find("nan"), std::string::npos) << epochs;
    EXPECT_EQ(svg.find("inf"), std::string::npos) << epochs;
  }
  EXPECT_EQ(count(curves_svg({}), "no epoch is done yet"), 2u);
  EXPECT_EQ(count(curves_svg(rows(1000)), "<circle "), 0u);  // too many to point at

  std::vector<EpochRow> holes = rows(6);
  holes[2].loss = NAN;
  holes[3].val_loss = INFINITY;
  holes[1].val_loss = std::nullopt;
  for (EpochRow& row : holes) row.accuracy = row.val_accuracy.emplace(0.0);
  const std::string svg = curves_svg(holes);
  EXPECT_EQ(testing::complaint_about_markup(svg), "");
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
  EXPECT_EQ(count(svg, "<circle "), 24u - 3u);
}

TEST(CurvesSvg, WithoutValidationThereIsOneCurve) {
  std::vector<EpochRow> all = rows(3);
  for (EpochRow& row : all) row.val_loss = row.val_accuracy = std::nullopt;
  const std::string svg = curves_svg(all);
  EXPECT_EQ(count(svg, "<path "), 2u);
  EXPECT_EQ(svg.find("val_"), std::string::npos);
}

}  // namespace
}  // namespace gcvit::report
