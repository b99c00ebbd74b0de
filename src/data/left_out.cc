// SPDX-License-Identifier: Apache-2.0
#include "data/left_out.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace gcvit::data {
namespace {

/// More are no use to a reader.
constexpr std::size_t kShownEndings = 10;

/// The singular of "photos that are ...": "photo that is ...".
std::string of_one(std::string reason) {
  const std::size_t noun = reason.find(' ');
  if (noun != std::string::npos && noun > 0 && reason[noun - 1] == 's') reason.erase(noun - 1, 1);
  for (const auto& [many, one] : {std::pair{" that are ", " that is "},
                                  {" that repeat ", " that repeats "},
                                  {" that don't ", " that doesn't "}}) {
    if (const std::size_t place = reason.find(many); place != std::string::npos) {
      reason.replace(place, std::string_view(many).size(), one);
      break;
    }
  }
  return reason;
}

}  // namespace

std::string describe(const LeftOut& left_out) {
  std::string text =
      fmt::format("{} {}", left_out.count, left_out.count == 1 ? of_one(left_out.reason) : left_out.reason);
  const std::size_t shown = std::min(left_out.endings.size(), kShownEndings);
  for (std::size_t i = 0; i < shown; ++i) {
    const auto& [ending, count] = left_out.endings[i];
    text += fmt::format("{}{} {}", i == 0 ? " (" : ", ", ending, count);
  }
  if (shown < left_out.endings.size()) text += ", ...";
  if (shown > 0) text += ")";
  if (!left_out.example.empty()) text += fmt::format(", such as {}", left_out.example);
  return text;
}

std::vector<LeftOut> other_kinds(const std::map<std::string, OtherFiles>& others, const std::string& prefix,
                                 const std::string& what) {
  LeftOut all{.reason = what + " of other kinds"};
  for (const auto& [ending, files] : others) {
    if (all.count == 0) all.example = prefix + files.example;
    all.count += files.count;
    all.endings.emplace_back(ending.empty() ? "no ending" : ending, files.count);
  }
  if (all.count == 0) return {};
  return {std::move(all)};
}

}  // namespace gcvit::data
