// SPDX-License-Identifier: Apache-2.0
#include "data/partition.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <numeric>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>

#include "data/sampler.h"
#include "base/error.h"
#include "digest/sha256.h"

namespace gcvit::data {
namespace {

void check_fraction(const ImageSet& set, double fraction) {
  if (!(fraction >= 0.0 && fraction < 1.0)) {
    fail("[data] {}: validation split: expected a share of at least 0 and below 1, found {}", set.root, fraction);
  }
}

Partition split_by(const std::vector<bool>& validates) {
  Partition split;
  for (std::size_t i = 0; i < validates.size(); ++i) (validates[i] ? split.validation : split.train).push_back(i);
  return split;
}

/// The hash of the photo, or that of its name where it can't be read.
std::string identity(const Sample& sample, const std::string& hash) {
  if (!hash.empty()) return hash;
  Sha256 of_name;
  of_name.update(std::as_bytes(std::span(sample.name)));
  return of_name.finish();
}

/// The rank of a group in its class's order.
std::uint64_t rank_of(const std::string& identity, std::uint64_t seed) {
  std::uint64_t first = 0;
  std::uint64_t second = 0;
  std::from_chars(identity.data(), identity.data() + 16, first, 16);
  std::from_chars(identity.data() + 16, identity.data() + 32, second, 16);
  Random random = random_for(seed, Purpose::kSplit, first, second);
  const std::uint64_t high = random.bits();
  return high << 32 | random.bits();
}

}  // namespace

Partition split_stratified(const ImageSet& set, double fraction, std::uint64_t seed, const HashOptions& options) {
  check_fraction(set, fraction);
  std::vector<bool> validates(set.samples.size(), false);
  if (fraction == 0.0) return split_by(validates);

  std::unordered_map<std::string, std::vector<std::size_t>> groups;
  std::vector<std::string> hashes = hashes_of(set, options);
  for (std::size_t i = 0; i < set.samples.size(); ++i) groups[identity(set.samples[i], hashes[i])].push_back(i);

  // A group that two classes share goes with the class of its first photo.
  using Group = std::pair<std::uint64_t, const std::vector<std::size_t>*>;
  std::map<std::int32_t, std::vector<Group>> of_class;
  for (const auto& [hash, samples] : groups) {
    of_class[set.samples[samples.front()].label].emplace_back(rank_of(hash, seed), &samples);
  }
  for (auto& [label, members] : of_class) {
    std::sort(members.begin(), members.end(), [](const Group& a, const Group& b) {
      return a.first != b.first ? a.first < b.first : *a.second < *b.second;
    });
    std::size_t images = 0;
    for (const Group& group : members) images += group.second->size();
    const auto wanted = std::max<std::size_t>(
        static_cast<std::size_t>(std::llrint(static_cast<double>(images) * fraction)), members.size() > 1);
    // The last group always trains.
    std::size_t taken = 0;
    for (std::size_t i = 0; i + 1 < members.size() && taken < wanted; ++i) {
      for (const std::size_t sample : *members[i].second) validates[sample] = true;
      taken += members[i].second->size();
    }
  }
  Partition split = split_by(validates);
  split.hashes = std::move(hashes);
  return split;
}

Partition split_tutorial(const ImageSet& set, double fraction, std::uint64_t seed) {
  check_fraction(set, fraction);
  std::vector<std::size_t> order(set.samples.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  Random random = random_for(seed, Purpose::kSplit);
  shuffle(order, random);
  const auto count = static_cast<std::size_t>(std::llrint(static_cast<double>(order.size()) * fraction));
  std::vector<bool> validates(order.size(), false);
  for (std::size_t i = order.size() - count; i < order.size(); ++i) validates[order[i]] = true;
  return split_by(validates);
}

Partition split_as_marked(const ImageSet& set) {
  if (set.validates.empty()) fail("[data] {}: expected photos marked to train or validate, found none", set.root);
  return split_by(set.validates);
}

void check_trainable(const ImageSet& set, const Partition& split, std::int32_t classes, bool validates) {
  if (set.present.size() < 2) {
    fail("[data] {}: expected photos of two classes at least, found only \"{}\"", set.root,
         set.present.empty() ? "" : set.classes[static_cast<std::size_t>(set.present.front())]);
  }
  std::vector<std::size_t> counts(set.classes.size());
  for (const Sample& sample : set.samples) {
    if (sample.label < 0 || sample.label >= classes) {
      fail("[data] {}: \"{}\": expected a class below {}, which the head has outputs for, found class {}", set.root,
           sample.name, classes, sample.label);
    }
  }
  for (const std::size_t sample : split.train) ++counts[static_cast<std::size_t>(set.samples[sample].label)];
  for (const std::int32_t label : set.present) {
    if (counts[static_cast<std::size_t>(label)] == 0) {
      fail("[data] {}: class \"{}\": expected a photo to train on, found none", set.root,
           set.classes[static_cast<std::size_t>(label)]);
    }
  }
  if (validates && split.validation.empty()) {
    fail("[data] {}: expected photos to validate on, found none: more photos or a larger share would do", set.root);
  }
}

}  // namespace gcvit::data
