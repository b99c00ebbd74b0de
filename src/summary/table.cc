// SPDX-License-Identifier: Apache-2.0
#include "summary/table.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

namespace gcvit::summary {
namespace {

/// 13,246,464 -> "13.2 M": counts of operations for people, three digits or more.
std::string rounded(std::int64_t number) {
  const auto value = static_cast<double>(number);
  if (number >= 1'000'000'000) return fmt::format("{:.2f} G", value * 1e-9);
  if (number >= 1'000'000) return fmt::format("{:.1f} M", value * 1e-6);
  if (number >= 1'000) return fmt::format("{:.1f} k", value * 1e-3);
  return std::to_string(number);
}

}  // namespace

std::string with_commas(std::int64_t number) {
  std::string text = std::to_string(number);
  const std::size_t first = number < 0 ? 1 : 0;
  for (std::size_t place = text.size(); place > first + 3;) text.insert(place -= 3, 1, ',');
  return text;
}

std::string to_table(const SummaryBackend& summary) {
  std::size_t name_width = std::string_view("layer (type)").size();
  for (const Layer& layer : summary.layers()) {
    name_width = std::max(name_width, layer.name.size() + layer.type.size() + 3);
  }
  constexpr int kShapeWidth = 14;
  constexpr int kNumberWidth = 13;
  std::string table;
  const auto row = [&](std::string_view name, std::string_view shape, std::string_view parameters,
                       std::string_view macs) {
    fmt::format_to(std::back_inserter(table), "{:<{}}  {:<{}}{:>{}}{:>{}}", name, name_width, shape, kShapeWidth,
                   parameters, kNumberWidth, macs, kNumberWidth);
    table.erase(table.find_last_not_of(' ') + 1) += '\n';
  };
  const std::string line = std::string(name_width + 2 + kShapeWidth + 2 * kNumberWidth, '-') + "\n";

  row("layer (type)", "output", "parameters", "MACs");
  table += line;
  for (const Layer& layer : summary.layers()) {
    row(fmt::format("{} ({})", layer.name, layer.type), to_string(layer.output), with_commas(layer.parameters),
        layer.macs == 0 ? "" : rounded(layer.macs));
    if (layer.before_downsample && *layer.before_downsample != layer.output) {
      table += fmt::format("{:<{}}  {}\n", "  before its downsample", name_width, to_string(*layer.before_downsample));
    }
  }
  table += line;
  row("total", "", with_commas(summary.parameters()), rounded(summary.macs()));
  return table;
}

}  // namespace gcvit::summary
