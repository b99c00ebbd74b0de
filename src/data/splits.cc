// SPDX-License-Identifier: Apache-2.0
#include "data/splits.h"

#include <array>
#include <set>
#include <utility>

#include "data/listing.h"

namespace gcvit::data {
namespace {

constexpr std::array<std::pair<std::string_view, Split>, 9> kWords = {{{"train", Split::kTrain},
                                                                       {"training", Split::kTrain},
                                                                       {"val", Split::kValidation},
                                                                       {"valid", Split::kValidation},
                                                                       {"validation", Split::kValidation},
                                                                       {"eval", Split::kValidation},
                                                                       {"evaluation", Split::kValidation},
                                                                       {"test", Split::kTest},
                                                                       {"testing", Split::kTest}}};

enum class Letter : std::uint8_t { kNone, kLetter, kDigit };

/// Bytes of other alphabets are letters.
Letter kind_of(char letter) {
  if (letter >= '0' && letter <= '9') return Letter::kDigit;
  const bool is_letter = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                         static_cast<unsigned char>(letter) >= 0x80;
  return is_letter ? Letter::kLetter : Letter::kNone;
}

std::set<Split> splits_in(std::string_view name) {
  std::set<Split> splits;
  for (std::size_t begin = 0; begin < name.size();) {
    const Letter kind = kind_of(name[begin]);
    std::size_t end = begin + 1;
    while (end < name.size() && kind_of(name[end]) == kind) ++end;
    if (const auto split = split_of_word(name.substr(begin, end - begin))) splits.insert(*split);
    begin = end;
  }
  return splits;
}

}  // namespace

std::string_view name_of(Split split) {
  switch (split) {
    case Split::kTrain: return "train";
    case Split::kValidation: return "validation";
    case Split::kTest: break;
  }
  return "test";
}

std::optional<Split> split_of_word(std::string_view word) {
  const std::string lower = lower_case(word);
  for (const auto& [known, split] : kWords) {
    if (lower == known) return split;
  }
  return std::nullopt;
}

std::vector<std::optional<Split>> splits_of(std::span<const std::string> names) {
  std::vector<std::set<Split>> said;
  std::set<Split> common = {Split::kTrain, Split::kValidation, Split::kTest};
  bool twice = false;
  for (const std::string& name : names) {
    said.push_back(splits_in(name));
    twice = twice || said.back().size() > 1;
    std::erase_if(common, [&](Split split) { return !said.back().contains(split); });
  }
  std::vector<std::optional<Split>> splits;
  for (std::set<Split>& one : said) {
    if (twice) std::erase_if(one, [&](Split split) { return common.contains(split); });
    splits.push_back(one.size() == 1 ? std::optional(*one.begin()) : std::nullopt);
  }
  return splits;
}

}  // namespace gcvit::data
