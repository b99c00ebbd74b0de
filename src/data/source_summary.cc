// SPDX-License-Identifier: Apache-2.0
#include "data/source_summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <string_view>
#include <unordered_map>

#include "base/counted.h"

namespace gcvit::data {
namespace {

/// More would not be read.
constexpr std::size_t kShownClasses = 10;
constexpr std::size_t kShownSplits = 6;

void note(LeftOut& one, const Sample& sample) {
  if (one.count++ == 0) one.example = sample.name;
}

/// Adds what hashes reveal about the photos.
void compare(SourceSummary& found, const ImageSet& set, const Partition& partition) {
  found.read = true;
  found.identical.reason = "photos that are byte for byte another one";
  found.contradictory.reason = "photos that are byte for byte one of another class";
  found.unreadable.reason = "photos that can't be read";
  std::unordered_map<std::string_view, std::int32_t> label_of;
  std::vector<std::size_t> samples = partition.train;
  samples.insert(samples.end(), partition.validation.begin(), partition.validation.end());
  std::sort(samples.begin(), samples.end());
  for (const std::size_t i : samples) {
    const Sample& sample = set.samples[i];
    const std::string& hash = partition.hashes[i];
    if (hash.empty()) {
      note(found.unreadable, sample);
      continue;
    }
    const auto [first, added] = label_of.emplace(hash, sample.label);
    if (added) continue;
    note(found.identical, sample);
    if (first->second != sample.label) note(found.contradictory, sample);
  }
}

std::string classes_text(const SourceSummary& found) {
  std::string text;
  const std::size_t shown = found.classes.size() > kShownClasses + 1 ? kShownClasses : found.classes.size();
  for (std::size_t i = 0; i < shown; ++i) {
    text += fmt::format("{}{} {}", i == 0 ? "" : ", ", found.classes[i].name, found.classes[i].images);
  }
  if (shown < found.classes.size()) text += fmt::format(" and {} more", found.classes.size() - shown);
  return text;
}

std::string split_text(const FoundSplit& split) {
  std::string counts;
  if (split.shards > 0) counts = counted(split.shards, "shard");
  if (split.shards == 0 || split.use != SplitUse::kLeftOut) {
    counts += (counts.empty() ? "" : ", ") + counted(split.images, "photo");
  }
  const std::string_view means = name_of(split.split);
  const std::string meaning = split.name == means ? "" : fmt::format(" ({})", means);
  return fmt::format("{}{}: {}, {}", split.name, meaning, counts, name_of(split.use));
}

}  // namespace

std::string_view name_of(SourceKind kind) {
  switch (kind) {
    case SourceKind::kFolders: return "class folders";
    case SourceKind::kList: return "a list";
    case SourceKind::kTfrecord: return "TFRecord shards";
    case SourceKind::kTar: break;
  }
  return "WebDataset shards";
}

std::string_view name_of(SplitUse use) {
  switch (use) {
    case SplitUse::kTrains: return "trains";
    case SplitUse::kValidates: return "validates";
    case SplitUse::kTaken: return "taken";
    case SplitUse::kLeftOut: break;
  }
  return "left out";
}

SourceSummary summarise(const ImageSet& set, const Partition* partition) {
  SourceSummary found;
  found.root = set.root;
  found.kind = name_of(set.kind);
  found.splits = set.splits;
  found.left_out = set.left_out;
  std::map<std::int32_t, ClassSummary> classes;
  for (const std::int32_t label : set.present) {
    classes[label].name = set.classes[static_cast<std::size_t>(label)];
  }
  const auto count = [&](std::size_t sample, bool validates) {
    ClassSummary& one = classes[set.samples[sample].label];
    ++one.images;
    if (validates) ++one.validation;
    ++(validates ? found.validation : found.train);
  };
  if (partition != nullptr) {
    for (const std::size_t sample : partition->train) count(sample, false);
    for (const std::size_t sample : partition->validation) count(sample, true);
  } else {
    for (std::size_t i = 0; i < set.samples.size(); ++i) count(i, !set.validates.empty() && set.validates[i]);
  }
  found.images = found.train + found.validation;
  for (auto& [label, one] : classes) found.classes.push_back(std::move(one));
  if (partition != nullptr && partition->hashes.size() == set.samples.size()) compare(found, set, *partition);
  return found;
}

std::vector<std::string> describe(const SourceSummary& found) {
  std::vector<std::string> lines;
  const std::size_t classes = found.classes.size();
  lines.push_back(fmt::format("{}: {}: {} of {} class{}: {}", found.root, found.kind, counted(found.images, "photo"),
                              classes, classes == 1 ? "" : "es", classes_text(found)));
  if (!found.splits.empty()) {
    std::string text;
    for (std::size_t i = 0; i < std::min(found.splits.size(), kShownSplits); ++i) {
      text += (i == 0 ? "" : "; ") + split_text(found.splits[i]);
    }
    if (found.splits.size() > kShownSplits) text += fmt::format(" and {} more", found.splits.size() - kShownSplits);
    lines.push_back(fmt::format("{}: splits: {}", found.root, text));
  }
  const bool by_split = std::any_of(found.splits.begin(), found.splits.end(),
                                    [](const FoundSplit& split) { return split.use == SplitUse::kValidates; });
  if (found.validation > 0 && !by_split) {
    lines.push_back(fmt::format("{}: of these {} train, {} validate", found.root, found.train, found.validation));
  }
  std::string left_out;
  for (const LeftOut& one : found.left_out) {
    if (!one.is_split) left_out += (left_out.empty() ? "" : "; ") + describe(one);
  }
  if (!left_out.empty()) lines.push_back(fmt::format("{}: left out: {}", found.root, left_out));
  for (const LeftOut* const one : {&found.identical, &found.contradictory, &found.unreadable}) {
    if (one->count > 0) lines.push_back(fmt::format("{}: {}", found.root, describe(*one)));
  }
  return lines;
}

}  // namespace gcvit::data
