// SPDX-License-Identifier: Apache-2.0
// The names of a set's classes, and how they meet those of a model.
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>

#include "data/listing.h"
#include "data/sources.h"
#include "base/error.h"

namespace gcvit::data {
namespace {

constexpr std::int32_t kAmbiguous = -1;

/// Two names are one when they differ in nothing but the case of ASCII letters and `_` for a space.
std::string canonical(std::string_view name) {
  std::string result = lower_case(name);
  std::replace(result.begin(), result.end(), '_', ' ');
  return result;
}

/// What is left of a name without its case and its blanks.
std::string bare(std::string_view name) {
  std::string result = lower_case(name);
  std::erase_if(result, [](char letter) { return trimmed(std::string_view(&letter, 1)).empty(); });
  for (std::size_t at = 0; (at = result.find("\xc2\xa0", at)) != std::string::npos;) result.erase(at, 2);
  return result;
}

/// The names as numbers, if all of them are whole ones; nothing else. Zeros may go before them when all have as many
/// digits.
std::optional<std::vector<std::uint64_t>> whole_numbers(std::span<const std::string> names) {
  const auto filled = [](const std::string& name) { return name.size() > 1 && name.starts_with('0'); };
  const bool same_width = std::all_of(names.begin(), names.end(),
                                      [&](const std::string& name) { return name.size() == names.front().size(); });
  std::vector<std::uint64_t> numbers;
  for (const std::string& name : names) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error != std::errc() || end != name.data() + name.size() || (filled(name) && !same_width)) return std::nullopt;
    numbers.push_back(number);
  }
  return numbers;
}

/// From a class's canonical name to its index.
std::map<std::string, std::int32_t> class_of_name(std::span<const std::string> class_names,
                                                  std::span<const std::string> wordnet_ids) {
  std::map<std::string, std::int32_t> classes;
  for (const std::span<const std::string> names : {class_names, wordnet_ids}) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto label = static_cast<std::int32_t>(i);
      const auto [entry, added] = classes.emplace(canonical(names[i]), label);
      if (!added && entry->second != label) entry->second = kAmbiguous;
    }
  }
  return classes;
}

/// The model's class of each of the set's that has one, by name. Throws `Error` where that isn't one for one, unless
/// `lenient`: such classes then have none.
std::vector<std::optional<std::int32_t>> named_classes(const ImageSet& set, std::span<const std::string> class_names,
                                                       std::span<const std::string> wordnet_ids, bool lenient) {
  const std::map<std::string, std::int32_t> classes = class_of_name(class_names, wordnet_ids);
  std::vector<std::optional<std::int32_t>> labels;
  std::map<std::int32_t, std::string_view> taken;
  for (const std::string& name : set.classes) {
    const auto found = classes.find(canonical(name));
    if (found == classes.end()) {
      labels.emplace_back();
      continue;
    }
    if (found->second == kAmbiguous) {
      labels.emplace_back();
      if (lenient) continue;
      fail("[data] {}: class \"{}\": two classes of the model have that name; name it by its WordNet id", set.root,
           name);
    }
    const auto [other, added] = taken.emplace(found->second, name);
    if (!added) {
      labels.emplace_back();
      if (lenient) continue;
      fail(
          "[data] {}: expected a class of the model for each of the photos', found that \"{}\" and \"{}\" both are "
          "\"{}\"",
          set.root, other->second, name, class_names[static_cast<std::size_t>(found->second)]);
    }
    labels.emplace_back(found->second);
  }
  return labels;
}

/// Of the i-th class i.
std::vector<std::int32_t> labels_by_order(ImageSet& set, std::span<const std::string> class_names) {
  if (set.classes.size() > class_names.size()) {
    fail("[data] {}: expected at most {} classes, as the model has, found {}", set.root, class_names.size(),
         set.classes.size());
  }
  set.notices.push_back(fmt::format("{}: classes are taken as 0 to {} by their order, \"{}\" as \"{}\"", set.root,
                                    set.classes.size() - 1, set.classes.front(), class_names.front()));
  std::vector<std::int32_t> labels;
  for (std::size_t i = 0; i < set.classes.size(); ++i) labels.push_back(static_cast<std::int32_t>(i));
  return labels;
}

/// The numbers themselves, below `classes`.
std::vector<std::int32_t> labels_by_number(const ImageSet& set, std::size_t classes, std::string_view advice) {
  const std::vector<std::uint64_t> numbers = whole_numbers(set.classes).value_or(std::vector<std::uint64_t>{});
  const auto [least, largest] = std::minmax_element(numbers.begin(), numbers.end());
  if (largest != numbers.end() && *least > 0 && *largest == classes) {
    fail("[data] {}: expected classes numbered from 0 to {}, as the model's {} are, found {} to {}{}", set.root,
         classes - 1, classes, *least, *largest, advice);
  }
  std::vector<std::int32_t> labels;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (numbers[i] >= classes) {
      fail("[data] {}: class \"{}\": expected a number below {}, as many classes as the model has, found {}{}",
           set.root, set.classes[i], classes, numbers[i], advice);
    }
    labels.push_back(static_cast<std::int32_t>(numbers[i]));
  }
  return labels;
}

/// The classes whose names are the set's numbers, zeros before them aside, where the model's names are all numbers; a
/// number that is none of them has none. Nothing where they aren't.
std::optional<std::vector<std::optional<std::int32_t>>> classes_of_numbers(const ImageSet& set,
                                                                           std::span<const std::string> class_names) {
  if (!set.numbered || class_names.empty()) return std::nullopt;
  const auto names = whole_numbers(class_names);
  if (!names) return std::nullopt;
  std::map<std::uint64_t, std::int32_t> class_of;
  for (std::size_t i = 0; i < names->size(); ++i) {
    if (!class_of.emplace((*names)[i], static_cast<std::int32_t>(i)).second) return std::nullopt;
  }
  std::vector<std::optional<std::int32_t>> labels;
  for (const std::uint64_t number : whole_numbers(set.classes).value_or(std::vector<std::uint64_t>{})) {
    const auto found = class_of.find(number);
    labels.push_back(found == class_of.end() ? std::nullopt : std::optional(found->second));
  }
  return labels;
}

/// The model's class of each of the set's.
std::vector<std::int32_t> matching_classes(ImageSet& set, std::span<const std::string> class_names,
                                           std::span<const std::string> wordnet_ids, bool by_index) {
  constexpr std::string_view kAdvice = "; gcvit eval --by-index takes them by their order";
  const auto numbered = classes_of_numbers(set, class_names);
  const auto named = numbered ? *numbered : named_classes(set, class_names, wordnet_ids, by_index);
  const auto stranger = std::find(named.begin(), named.end(), std::nullopt);
  if (stranger == named.end()) {
    std::vector<std::int32_t> labels;
    for (const auto& label : named) labels.push_back(*label);
    return labels;
  }
  if (by_index) return labels_by_order(set, class_names);
  const auto known = std::count_if(named.begin(), named.end(), [](const auto& label) { return label.has_value(); });
  const std::string& name = set.classes[static_cast<std::size_t>(stranger - named.begin())];
  if (known > 0) {
    fail("[data] {}: class \"{}\": expected a class of the model, as {}, found no such class{}", set.root, name,
         known == 1 ? "another is" : fmt::format("{} others are", known), kAdvice);
  }
  if (!set.numbered || numbered) {
    fail(
        "[data] {}: class \"{}\": expected a class of the model, such as \"{}\", found a match for none of {} "
        "classes{}",
        set.root, name, class_names.empty() ? "" : class_names.front(), set.classes.size(), kAdvice);
  }
  std::vector<std::int32_t> labels = labels_by_number(set, class_names.size(), kAdvice);
  set.notices.push_back(fmt::format("{}: classes are taken as the model's by their numbers, \"{}\" as \"{}\"", set.root,
                                    set.classes.front(), class_names[static_cast<std::size_t>(labels.front())]));
  return labels;
}

/// Makes the set's labels index `names`, by `labels`: one for each of its classes.
void relabel(ImageSet& set, const std::vector<std::int32_t>& labels, std::vector<std::string> names) {
  for (Sample& sample : set.samples) sample.label = labels[static_cast<std::size_t>(sample.label)];
  for (std::int32_t& label : set.present) label = labels[static_cast<std::size_t>(label)];
  set.classes = std::move(names);
}

}  // namespace

bool all_numbers(std::span<const std::string> names) { return !names.empty() && whole_numbers(names).has_value(); }

void sort_classes(ImageSet& set) {
  std::sort(set.classes.begin(), set.classes.end());
  const auto numbers = whole_numbers(set.classes);
  set.numbered = numbers.has_value() && !set.classes.empty();
  if (!set.numbered) return;
  std::map<std::uint64_t, std::string> by_number;
  for (std::size_t i = 0; i < set.classes.size(); ++i) by_number.emplace((*numbers)[i], set.classes[i]);
  set.classes.clear();
  for (auto& [number, name] : by_number) set.classes.push_back(std::move(name));
}

void check_class_names(const ImageSet& set) {
  std::map<std::string, std::string_view> bare_names;
  std::map<std::string, std::string_view> canonical_names;
  for (const std::string& name : set.classes) {
    const auto [other, added] = bare_names.emplace(bare(name), name);
    if (!added && other->second != name) {
      fail("[data] {}: expected classes whose names differ by more than case and blanks, found \"{}\" and \"{}\"",
           set.root, other->second, name);
    }
    // In a model with both, neither could be matched.
    const auto [same, first] = canonical_names.emplace(canonical(name), name);
    if (!first && same->second != name) {
      fail(
          "[data] {}: expected classes whose names differ by more than case and _ for a blank, found \"{}\" and \"{}\"",
          set.root, same->second, name);
    }
  }
}

void label_samples(ImageSet& set, std::span<const std::string> labels) {
  const std::set<std::string_view> names(labels.begin(), labels.end());
  set.classes.assign(names.begin(), names.end());
  sort_classes(set);
  check_class_names(set);
  std::map<std::string_view, std::int32_t> index_of;
  for (std::size_t i = 0; i < set.classes.size(); ++i) {
    index_of.emplace(set.classes[i], static_cast<std::int32_t>(i));
    set.present.push_back(static_cast<std::int32_t>(i));
  }
  for (std::size_t i = 0; i < set.samples.size(); ++i) set.samples[i].label = index_of.at(labels[i]);
}

void remap_labels(ImageSet& set, std::span<const std::string> class_names, std::span<const std::string> wordnet_ids,
                  bool by_index) {
  relabel(set, matching_classes(set, class_names, wordnet_ids, by_index), {class_names.begin(), class_names.end()});
  set.numbered = false;
}

bool all_classes_known(const ImageSet& set, std::span<const std::string> class_names,
                       std::span<const std::string> wordnet_ids) {
  const std::map<std::string, std::int32_t> classes = class_of_name(class_names, wordnet_ids);
  return std::all_of(set.classes.begin(), set.classes.end(),
                     [&](const std::string& name) { return classes.contains(canonical(name)); });
}

void take_numbers_as_indices(ImageSet& set, std::size_t classes) {
  if (!set.numbered) fail("[data] {}: expected classes named by whole numbers, found others", set.root);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < classes; ++i) names.push_back(std::to_string(i));
  relabel(set, labels_by_number(set, classes, ""), std::move(names));
}

}  // namespace gcvit::data
