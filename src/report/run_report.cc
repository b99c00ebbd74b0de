// SPDX-License-Identifier: Apache-2.0
#include "report/run_report.h"

#include <algorithm>
#include <cmath>

#include "image/resize.h"
#include "report/curves_svg.h"
#include "base/atomic_file.h"
#include "base/softmax.h"

namespace gcvit::report {
namespace {

Example example_of(const evaluate::LabelledLogits& images, double temperature, std::size_t image) {
  const std::vector<double> probabilities = softmax(images.logits(image), temperature);
  const auto best = std::max_element(probabilities.begin(), probabilities.end());
  return {.image = image,
          .label = images.label(image),
          .predicted = static_cast<std::int32_t>(best - probabilities.begin()),
          .probability = *best,
          .name = {},
          .picture = {}};
}

void write_file(const std::string& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace

std::vector<Example> surest_mistakes(const evaluate::LabelledLogits& images, double temperature, std::size_t count) {
  std::vector<Example> mistakes;
  for (std::size_t image = 0; image < images.size(); ++image) {
    Example example = example_of(images, temperature, image);
    if (!example.right()) mistakes.push_back(std::move(example));
  }
  std::stable_sort(mistakes.begin(), mistakes.end(),
                   [](const Example& a, const Example& b) { return a.probability > b.probability; });
  if (mistakes.size() > count) mistakes.resize(count);
  return mistakes;
}

std::vector<Example> samples_of(const evaluate::LabelledLogits& images, double temperature, std::size_t count) {
  count = std::min(count, images.size());
  std::vector<Example> samples;
  for (std::size_t i = 0; i < count; ++i) {
    // The middle of each of `count` equal parts.
    samples.push_back(example_of(images, temperature, (2 * i + 1) * images.size() / (2 * count)));
  }
  return samples;
}

image::Image thumbnail(const image::Image& picture, std::int32_t side) {
  image::check(picture);
  const double scale = static_cast<double>(side) / std::min(picture.width, picture.height);
  const auto scaled = [&](std::int32_t length) {
    return std::max(side, static_cast<std::int32_t>(std::min(std::round(scale * length), 1e9)));
  };
  const std::int32_t height = scaled(picture.height);
  const std::int32_t width = scaled(picture.width);
  image::Image square{side, side, {}};
  square.pixels.resize(static_cast<std::size_t>(side) * static_cast<std::size_t>(side) * 3);
  image::ResizeScratch scratch;
  image::resize_antialiased(picture, height, width, image::Filter::kBicubic,
                            {(height - side) / 2, (width - side) / 2, side, side}, square.pixels, scratch);
  return square;
}

void write_curves(const std::string& folder, std::span<const EpochRow> rows) {
  write_file(folder + "/curves.svg", curves_svg(rows));
}

void write_run_report(const std::string& folder, const RunReport& report) {
  write_curves(folder, report.rows);
  write_file(folder + "/report.html", report_html(report));
}

}  // namespace gcvit::report
