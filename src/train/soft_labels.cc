// SPDX-License-Identifier: Apache-2.0
#include "train/soft_labels.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "base/error.h"
#include "base/json.h"
#include "base/line_cutter.h"
#include "base/open_file.h"
#include "base/softmax.h"
#include "formats/in_quotes.h"

namespace gcvit::train {
namespace {

constexpr std::size_t kNoRow = std::numeric_limits<std::size_t>::max();
/// A million logits, each with all its digits.
constexpr std::size_t kLongestLine = std::size_t{32} << 20;
constexpr const char* kForm = R"({"image": "roses/12.jpg", "logits": [0.1, 7.2]})";

/// The logits of one line and the photo that they are of.
std::pair<std::string, std::vector<float>> parse_line(const std::string& line, const std::string& place) {
  std::pair<std::string, std::vector<float>> image;
  try {
    read_json(line, "train", "line",
              [&](const JsonPlace& root) { image = {root.key("image").text(), root.key("logits").numbers_f32()}; });
  } catch (const Error& error) {
    fail("[train] {}: expected a line as {}, found another: {}", place, kForm, formats::without_area(error.what()));
  }
  return image;
}

}  // namespace

SoftLabels::SoftLabels(const std::string& file, const data::ImageSet& set, std::span<const std::size_t> needed,
                       std::int32_t classes, double temperature)
    : classes_(static_cast<std::size_t>(classes)), rows_(set.samples.size(), kNoRow) {
  std::unordered_map<std::string_view, std::size_t> by_name;
  for (std::size_t i = 0; i < set.samples.size(); ++i) by_name.emplace(set.samples[i].name, i);
  const auto new_row = [this] {
    probabilities_.resize(probabilities_.size() + classes_);
    return std::span(probabilities_).last(classes_);
  };
  LineCutter lines("train", file, kLongestLine, [&](const std::string& line, std::size_t number) {
    if (line.find_first_not_of(" \t") == std::string::npos) return;
    const std::string place = fmt::format("{}: line {}", file, number);
    const auto [image, logits] = parse_line(line, place);
    if (logits.size() != classes_) fail("[train] {}: expected {} logits, found {}", place, classes_, logits.size());
    const auto found = by_name.find(image);
    if (found == by_name.end()) return;
    std::size_t& row = rows_[found->second];
    if (row != kNoRow) fail("[train] {}: {} has stood on a line before", place, image);
    row = probabilities_.size() / classes_;
    std::ranges::transform(softmax(logits, temperature), new_row().begin(),
                           [](double probability) { return static_cast<float>(probability); });
  });
  read_regular_pieces(file, "train", [&](std::string_view piece) { lines.add(piece); });
  lines.finish();
  if (probabilities_.empty()) fail("[train] {}: expected lines for photos of {}, found none", file, set.root);
  for (const std::size_t sample : needed) {
    if (rows_[sample] != kNoRow) continue;
    ++without_;
    rows_[sample] = probabilities_.size() / classes_;
    new_row()[static_cast<std::size_t>(set.samples[sample].label)] = 1.0f;
  }
}

std::span<const float> SoftLabels::of(std::size_t sample) const {
  return std::span(probabilities_).subspan(rows_.at(sample) * classes_, classes_);
}

}  // namespace gcvit::train
