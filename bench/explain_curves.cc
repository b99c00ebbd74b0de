// SPDX-License-Identifier: Apache-2.0
// Whether Grad-CAM points at what the model answers by: explain_curves MODEL FOLDER [PHOTOS] [LEVEL].
// Deletion and insertion curves (Petsiuk et al., "RISE", BMVC 2018) of PHOTOS photos, taken evenly from the class folders of FOLDER, for the
// class that the model answers: its probability as the input's pixels are painted over with the mean colour (deletion) or appear on it
// (insertion), those that the map has highest first. The area under the curve is the mean over 32 equal steps. Beside Grad-CAM's map stands a
// random one with as many cells; both are interpolated bilinearly to pixels.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "base/random.h"
#include "gcvit/explain.h"

namespace {

constexpr int kSteps = 32;

/// The files of each class folder in their order, a share of each.
std::vector<std::string> photos_of(const std::string& folder, std::size_t wanted) {
  std::vector<std::vector<std::string>> classes;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!entry.is_directory()) continue;
    std::vector<std::string>& files = classes.emplace_back();
    for (const auto& file : std::filesystem::directory_iterator(entry)) files.push_back(file.path().string());
    std::ranges::sort(files);
  }
  std::ranges::sort(classes);
  std::vector<std::string> photos;
  for (const std::vector<std::string>& files : classes) {
    const std::size_t share = std::min(wanted / classes.size(), files.size());
    for (std::size_t i = 0; i < share; ++i) photos.push_back(files[i * files.size() / share]);
  }
  return photos;
}

/// Pixels of a height x width input by the map's value there, highest first.
std::vector<std::size_t> pixel_order(const gcvit::HeatMap& map, std::int32_t height, std::int32_t width) {
  const auto along = [](std::int32_t pixel, std::int32_t pixels, std::int32_t cells) {
    return std::clamp((pixel + 0.5) * cells / pixels - 0.5, 0.0, static_cast<double>(cells - 1));
  };
  std::vector<double> values;
  for (std::int32_t y = 0; y < height; ++y) {
    for (std::int32_t x = 0; x < width; ++x) {
      const double row = along(y, height, map.height);
      const double column = along(x, width, map.width);
      const auto top = static_cast<std::int32_t>(row);
      const auto left = static_cast<std::int32_t>(column);
      const auto at = [&](std::int32_t r, std::int32_t c) {
        return map
            .values[static_cast<std::size_t>(std::min(r, map.height - 1) * map.width + std::min(c, map.width - 1))];
      };
      const double dy = row - top;
      const double dx = column - left;
      values.push_back((1 - dy) * ((1 - dx) * at(top, left) + dx * at(top, left + 1)) +
                       dy * ((1 - dx) * at(top + 1, left) + dx * at(top + 1, left + 1)));
    }
  }
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater(), [&](std::size_t pixel) { return values[pixel]; });
  return order;
}

/// The area under the curve from `begin` to `end` as pixels of the one become the other's in this order.
double area(gcvit::Session& session, std::int32_t target, const std::vector<float>& begin,
            const std::vector<float>& end, const std::vector<std::size_t>& order) {
  std::vector<float> inputs;
  std::vector<float> now = begin;
  std::size_t done = 0;
  for (int step = 0; step <= kSteps; ++step) {
    const std::size_t until = order.size() * static_cast<std::size_t>(step) / kSteps;
    for (; done < until; ++done)
      std::copy_n(end.begin() + static_cast<std::ptrdiff_t>(3 * order[done]), 3,
                  now.begin() + static_cast<std::ptrdiff_t>(3 * order[done]));
    inputs.insert(inputs.end(), now.begin(), now.end());
  }
  const std::vector<float> probabilities = session.probabilities(inputs);
  const std::size_t classes = probabilities.size() / (kSteps + 1);
  double sum = 0.0;  // by trapezoids
  for (std::size_t step = 0; step <= kSteps; ++step) {
    const bool is_end = step == 0 || step == kSteps;
    sum += (is_end ? 0.5 : 1.0) * probabilities[step * classes + static_cast<std::size_t>(target)];
  }
  return sum / kSteps;
}

struct Areas {
  std::vector<double> deletion, insertion;
};

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// The mean difference of pairs, and its standard error.
void print_margin(const char* name, const std::vector<double>& better, const std::vector<double>& worse) {
  std::vector<double> differences;
  for (std::size_t i = 0; i < better.size(); ++i) differences.push_back(better[i] - worse[i]);
  const double margin = mean(differences);
  double squares = 0.0;
  for (const double one : differences) squares += (one - margin) * (one - margin);
  const double count = static_cast<double>(differences.size());
  std::printf("%s: margin %.3f, standard error %.3f, better in %.0f %% of the photos\n", name, margin,
              std::sqrt(squares / (count - 1) / count),
              100.0 * static_cast<double>(std::ranges::count_if(differences, [](double d) { return d > 0; })) / count);
}

}  // namespace

int main(int count, char** arguments) try {
  if (count < 3) {
    std::fprintf(stderr, "usage: explain_curves MODEL FOLDER [PHOTOS] [LEVEL]\n");
    return 2;
  }
  const auto wanted = static_cast<std::size_t>(count > 3 ? std::atoi(arguments[3]) : 100);
  const std::int32_t level = count > 4 ? std::atoi(arguments[4]) : 0;
  gcvit::Explainer explainer(gcvit::Model::open(arguments[1]));
  gcvit::Session& session = explainer.session();
  const std::int32_t height = explainer.model().image_height();
  const std::int32_t width = explainer.model().image_width();
  Areas cam;
  Areas random;
  int empty = 0;
  const std::vector<std::string> photos = photos_of(arguments[2], wanted);
  for (std::size_t i = 0; i < photos.size(); ++i) {
    const std::vector<float> photo = session.preprocess(gcvit::Image::file(photos[i]));
    const std::vector<float> grey(photo.size());
    const gcvit::Explanation why = explainer.grad_cam(photo, {.level = level});
    empty += why.empty;
    gcvit::HeatMap noise = why.map;
    gcvit::Random numbers(1, i);
    for (float& value : noise.values) value = numbers.normal();
    const auto add = [&](const gcvit::HeatMap& map, Areas& areas) {
      const std::vector<std::size_t> order = pixel_order(map, height, width);
      areas.deletion.push_back(area(session, why.index, photo, grey, order));
      areas.insertion.push_back(area(session, why.index, grey, photo, order));
    };
    add(why.map, cam);
    add(noise, random);
  }
  std::printf("%zu photos, %d of them with an empty map; areas under the curve, means\n", photos.size(), empty);
  std::printf("deletion (less is better): grad-cam %.3f, random %.3f\n", mean(cam.deletion), mean(random.deletion));
  std::printf("insertion (more is better): grad-cam %.3f, random %.3f\n", mean(cam.insertion), mean(random.insertion));
  print_margin("deletion", random.deletion, cam.deletion);
  print_margin("insertion", cam.insertion, random.insertion);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
