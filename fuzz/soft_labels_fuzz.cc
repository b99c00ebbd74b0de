// SPDX-License-Identifier: Apache-2.0
// A teacher's answers for six photos of three classes.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "fuzz/target.h"
#include "train/soft_labels.h"

namespace gcvit::fuzz {
namespace {

constexpr std::int32_t kClasses = 3;

data::ImageSet images() {
  data::ImageSet set;
  set.root = "photos";
  set.classes = {"a", "b", "c"};
  for (const char* name : {"a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg", "c/1.jpg", "c/\xc3\xa4.jpg"}) {
    data::Sample& sample = set.samples.emplace_back();
    sample.name = name;
    sample.label = static_cast<std::int32_t>(set.samples.size() - 1) / 2;
  }
  return set;
}

void run(const Input& input, Budget&) {
  static const data::ImageSet set = images();
  static constexpr std::size_t kNeeded[] = {0, 1, 2, 3, 4, 5};
  const MemoryFile file(input.bytes);
  const train::SoftLabels labels(file.path(), set, kNeeded, kClasses, 2.0);
  for (const std::size_t sample : kNeeded) {
    const std::span<const float> probabilities = labels.of(sample);
    expect(probabilities.size() == kClasses, "a probability for each class");
    const float sum = std::accumulate(probabilities.begin(), probabilities.end(), 0.0f);
    expect(std::abs(sum - 1.0f) < 1e-4f, "probabilities");
  }
}

/// A line of its own.
void mutate(std::string& input, std::size_t most, Random& random) {
  std::vector<std::string> lines;
  for (std::size_t place = 0; place < input.size();) {
    const std::size_t end = std::min(input.find('\n', place), input.size());
    lines.push_back(input.substr(place, end - place));
    place = end + 1;
  }
  if (lines.empty() || random.one_in(8)) {
    mutate_bytes(input, most);
    return;
  }
  if (random.one_in(4)) {
    rearrange(lines, 4096, random);
  } else {
    mutate_json(random.of(lines), most, random);
  }
  input.clear();
  for (const std::string& line : lines) input += line + '\n';
}

const Registration registration({.name = "soft_labels_fuzz", .run = run, .mutate = mutate});

}  // namespace
}  // namespace gcvit::fuzz
