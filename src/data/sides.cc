// SPDX-License-Identifier: Apache-2.0
#include "data/sides.h"

#include <array>
#include <string_view>

namespace gcvit::data {

std::optional<Sides> sides_among(const std::set<std::string>& names) {
  constexpr std::array<std::string_view, 4> kValidation = {"val", "validation", "valid", "test"};
  if (!names.contains("train")) return std::nullopt;
  Sides sides;
  std::size_t known = 1;
  for (const std::string_view name : kValidation) {
    if (!names.contains(std::string(name))) continue;
    ++known;
    if (sides.validation.empty()) {
      sides.validation = name;
    } else {
      sides.others.emplace(name);
    }
  }
  if (sides.validation.empty() || known != names.size()) return std::nullopt;
  return sides;
}

}  // namespace gcvit::data
