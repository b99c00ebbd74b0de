// SPDX-License-Identifier: Apache-2.0
#include "train/loss.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "base/softmax.h"
#include "tests/testing/error_of.h"
#include "tests/train/reference.h"

namespace gcvit::train {
namespace {

struct Result {
  std::vector<double> losses;
  std::vector<float> gradient;
};

Result run(const std::vector<float>& logits, const std::vector<float>& targets, std::int32_t classes, double scale,
           const Distillation& distillation = {}) {
  Result result{std::vector<double>(logits.size() / static_cast<std::size_t>(classes)),
                std::vector<float>(logits.size())};
  cross_entropy(logits, targets, classes, scale, distillation, result.losses, result.gradient);
  return result;
}

std::vector<float> random_row(std::size_t count, unsigned seed, float scale) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(count);
  for (float& value : values) value = normal(generator);
  return values;
}

void expect_close(const std::vector<float>& found, const nlohmann::json& expected, double tolerance) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i].get<double>(), tolerance) << i;
}

TEST(Loss, IsPyTorchsSmoothedAndDistilled) {
  const nlohmann::json reference = testing::read_reference("loss.json");
  const std::vector<float> logits = testing::floats(reference["logits"]);
  std::vector<float> targets(logits.size());
  write_targets(reference["labels"].get<std::vector<std::int32_t>>(), 5, reference["smoothing"], targets);
  const Result hard = run(logits, targets, 5, 0.25);
  expect_close(hard.gradient, reference["hard_gradient"], 1e-7);
  const std::vector<float> teacher_logits = testing::floats(reference["teacher"]);
  std::vector<float> teacher(teacher_logits.size());
  const double temperature = reference["temperature"];
  for (std::size_t row = 0; row < 4; ++row) {
    std::ranges::copy(softmax(std::span(teacher_logits).subspan(row * 5, 5), temperature), teacher.begin() + 5 * row);
  }
  const Result both =
      run(logits, targets, 5, 0.25, {.teacher = teacher, .temperature = temperature, .weight = reference["weight"]});
  expect_close(both.gradient, reference["distilled_gradient"], 2e-7);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(hard.losses[i], reference["hard"][i].get<double>(), 2e-6);
    EXPECT_NEAR(both.losses[i], reference["distilled"][i].get<double>(), 4e-6);
  }
}

TEST(Loss, GradientIsThatOfFiniteDifferences) {
  constexpr std::int32_t kClasses = 6;
  const std::vector<float> logits = random_row(2 * kClasses, 1, 2.0f);
  std::vector<float> targets(logits.size());
  write_targets(std::vector<std::int32_t>{4, 0}, kClasses, 0.2, targets);
  // As mixup leaves them.
  for (std::size_t c = 0; c < kClasses; ++c) targets[c] = 0.7f * targets[c] + 0.3f * targets[kClasses + c];
  std::vector<float> teacher(logits.size());
  std::ranges::copy(softmax(random_row(kClasses, 2, 2.0f), 3.0), teacher.begin());
  std::ranges::copy(softmax(random_row(kClasses, 3, 2.0f), 3.0), teacher.begin() + kClasses);
  const Distillation distillation{.teacher = teacher, .temperature = 3.0, .weight = 0.4};
  const auto total = [&](const std::vector<float>& at) {
    const Result result = run(at, targets, kClasses, 1.0, distillation);
    return result.losses[0] + result.losses[1];
  };
  const Result result = run(logits, targets, kClasses, 1.0, distillation);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    std::vector<float> above = logits;
    std::vector<float> below = logits;
    above[i] += 0x1p-9f;
    below[i] -= 0x1p-9f;
    const double width = static_cast<double>(above[i]) - static_cast<double>(below[i]);
    EXPECT_NEAR(result.gradient[i], (total(above) - total(below)) / width, 2e-6) << i;
  }
}

TEST(Loss, LargeLogitsStayFiniteAndBrokenOnesShow) {
  const std::vector<float> targets{0.0f, 1.0f};
  const Result large = run({3e38f, -3e38f}, targets, 2, 1.0);
  EXPECT_GT(large.losses[0], 5e38);
  EXPECT_TRUE(std::isfinite(large.losses[0]));
  EXPECT_EQ(large.gradient, (std::vector<float>{1.0f, -1.0f}));
  EXPECT_FALSE(std::isfinite(run({NAN, 0.0f}, targets, 2, 1.0).losses[0]));
  EXPECT_FALSE(std::isfinite(run({INFINITY, 0.0f}, targets, 2, 1.0).losses[0]));
}

TEST(Loss, AnImagesNumbersDependOnItAlone) {
  const std::vector<float> logits = random_row(3 * 4, 7, 1.0f);
  std::vector<float> targets(logits.size());
  write_targets(std::vector<std::int32_t>{0, 1, 3}, 4, 0.1, targets);
  const Result all = run(logits, targets, 4, 0.125);
  for (std::size_t row = 0; row < 3; ++row) {
    const auto part = [&](const std::vector<float>& values) {
      return std::vector<float>(values.begin() + static_cast<std::ptrdiff_t>(row * 4),
                                values.begin() + static_cast<std::ptrdiff_t>(row * 4 + 4));
    };
    const Result one = run(part(logits), part(targets), 4, 0.125);
    EXPECT_EQ(one.losses[0], all.losses[row]);
    EXPECT_EQ(one.gradient, part(all.gradient));
  }
}

TEST(Loss, ALabelBeyondTheHeadIsNamed) {
  std::vector<float> targets(3);
  EXPECT_EQ(testing::error_of([&] { write_targets(std::vector<std::int32_t>{3}, 3, 0.0, targets); }),
            "[train] label 3: expected one below 3, the outputs of the head");
}

}  // namespace
}  // namespace gcvit::train
