// SPDX-License-Identifier: Apache-2.0
#include "train/gradient_sum.h"

#include <algorithm>
#include <utility>

#include "kernels/rows.h"
#include "base/error.h"

namespace gcvit::train {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 16;

}  // namespace

GradientSum::GradientSum(std::span<const ops::Parameter* const> parameters, ThreadPool& pool)
    : parameters_(parameters.begin(), parameters.end()), pool_(pool) {}

native::ParameterVector GradientSum::take() {
  if (free_.empty()) return native::ParameterVector(parameters_);
  native::ParameterVector vector = std::move(free_.back());
  free_.pop_back();
  return vector;
}

void GradientSum::merge(native::ParameterVector& into, native::ParameterVector& from) {
  const std::span<float> a = into.all();
  const std::span<const float> b = std::as_const(from).all();
  const auto pieces = static_cast<std::int64_t>((a.size() + kPiece - 1) / kPiece);
  pool_.parallel_for(pieces, [&](std::int64_t piece, int) {
    const std::size_t begin = static_cast<std::size_t>(piece) * kPiece;
    const std::size_t count = std::min(kPiece, a.size() - begin);
    kernels::add_to(a.data() + begin, b.data() + begin, static_cast<std::int64_t>(count));
  });
}

native::ParameterVector& GradientSum::next() {
  if (total_) free_.push_back(std::move(*std::exchange(total_, std::nullopt)));
  if (!current_) current_ = take();
  return *current_;
}

void GradientSum::add() {
  if (!current_) fail("[train] a slice's gradient was added before it was asked for");
  native::ParameterVector sum = std::move(*std::exchange(current_, std::nullopt));
  for (std::size_t level = 0;; ++level) {
    if (level == levels_.size()) levels_.emplace_back();
    if (!levels_[level]) {
      levels_[level] = std::move(sum);
      return;
    }
    native::ParameterVector earlier = std::move(*std::exchange(levels_[level], std::nullopt));
    merge(earlier, sum);
    free_.push_back(std::move(sum));
    sum = std::move(earlier);
  }
}

native::ParameterVector& GradientSum::finish() {
  std::optional<native::ParameterVector> sum;
  for (std::optional<native::ParameterVector>& level : levels_) {
    if (!level) continue;
    native::ParameterVector part = std::move(*std::exchange(level, std::nullopt));
    if (sum) {
      merge(part, *sum);  // the earlier slices stand in the higher level
      free_.push_back(std::move(*sum));
    }
    sum = std::move(part);
  }
  if (!sum) fail("[train] expected the gradient of at least one slice");
  total_ = std::move(sum);
  return *total_;
}

}  // namespace gcvit::train
