// SPDX-License-Identifier: Apache-2.0
#include "data/sides.h"

#include <array>
#include <set>
#include <utility>

#include "data/listing.h"

namespace gcvit::data {
namespace {

constexpr std::array<std::pair<std::string_view, Side>, 9> kWords = {{{"train", Side::kTrain},
                                                                      {"training", Side::kTrain},
                                                                      {"val", Side::kValidation},
                                                                      {"valid", Side::kValidation},
                                                                      {"validation", Side::kValidation},
                                                                      {"eval", Side::kValidation},
                                                                      {"evaluation", Side::kValidation},
                                                                      {"test", Side::kTest},
                                                                      {"testing", Side::kTest}}};

enum class Letter : std::uint8_t { kNone, kLetter, kDigit };

/// Bytes of other alphabets are letters.
Letter kind_of(char letter) {
  if (letter >= '0' && letter <= '9') return Letter::kDigit;
  const bool is_letter = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                         static_cast<unsigned char>(letter) >= 0x80;
  return is_letter ? Letter::kLetter : Letter::kNone;
}

std::set<Side> sides_in(std::string_view name) {
  std::set<Side> sides;
  for (std::size_t begin = 0; begin < name.size();) {
    const Letter kind = kind_of(name[begin]);
    std::size_t end = begin + 1;
    while (end < name.size() && kind_of(name[end]) == kind) ++end;
    if (const auto side = side_of_word(name.substr(begin, end - begin))) sides.insert(*side);
    begin = end;
  }
  return sides;
}

}  // namespace

std::string_view name_of(Side side) {
  switch (side) {
    case Side::kTrain: return "train";
    case Side::kValidation: return "validation";
    case Side::kTest: break;
  }
  return "test";
}

std::optional<Side> side_of_word(std::string_view word) {
  const std::string lower = lower_case(word);
  for (const auto& [known, side] : kWords) {
    if (lower == known) return side;
  }
  return std::nullopt;
}

std::vector<std::optional<Side>> sides_of(std::span<const std::string> names) {
  std::vector<std::set<Side>> said;
  std::set<Side> common = {Side::kTrain, Side::kValidation, Side::kTest};
  bool twice = false;
  for (const std::string& name : names) {
    said.push_back(sides_in(name));
    twice = twice || said.back().size() > 1;
    std::erase_if(common, [&](Side side) { return !said.back().contains(side); });
  }
  std::vector<std::optional<Side>> sides;
  for (std::set<Side>& one : said) {
    if (twice) std::erase_if(one, [&](Side side) { return common.contains(side); });
    sides.push_back(one.size() == 1 ? std::optional(*one.begin()) : std::nullopt);
  }
  return sides;
}

}  // namespace gcvit::data
