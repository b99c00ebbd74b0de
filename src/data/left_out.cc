// SPDX-License-Identifier: Apache-2.0
#include "data/left_out.h"

#include <fmt/format.h>

#include <algorithm>

namespace gcvit::data {
namespace {

/// More are no use to a reader.
constexpr std::size_t kShownEndings = 10;

}  // namespace

std::string describe(const LeftOut& left_out) {
  std::string text = fmt::format("{} {}", left_out.count, left_out.reason);
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
