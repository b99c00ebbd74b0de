// SPDX-License-Identifier: Apache-2.0
#include "explain/heat_map.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace gcvit::explain {

void set_range(Explanation& explanation) {
  const HeatMap& map = explanation.map;
  const auto cells = static_cast<std::size_t>(map.height) * static_cast<std::size_t>(map.width);
  if (map.height < 1 || map.width < 1 || map.values.size() != cells) {
    fail("[explain] map: expected {}x{} values, found {}", map.height, map.width, map.values.size());
  }
  const auto wrong = std::ranges::find_if_not(map.values, [](float value) { return std::isfinite(value); });
  if (wrong != map.values.end()) {
    const auto at = wrong - map.values.begin();
    fail("[explain] map: expected finite values, found {} in row {}, column {}", *wrong, at / map.width,
         at % map.width);
  }
  const auto [lowest, highest] = std::ranges::minmax(map.values);
  explanation.lowest = lowest;
  explanation.highest = highest;
  explanation.empty = lowest == highest;
}

}  // namespace gcvit::explain
