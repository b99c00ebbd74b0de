// SPDX-License-Identifier: Apache-2.0
#include "onnx/names.h"

#include <algorithm>
#include <utility>

namespace gcvit::onnx {
namespace {

/// Pieces of canonical names that say little by themselves, and what a graph calls them. Levels count from 1 for people.
constexpr std::pair<std::string_view, std::string_view> kPieces[] = {
    {".levels.0.", ".level1."},
    {".levels.1.", ".level2."},
    {".levels.2.", ".level3."},
    {".levels.3.", ".level4."},
    {".blocks.", ".block"},
    {".attn.", ".attention."},
    {".q_global_gen.to_q_global.", ".global_query."},
    {".conv.0.", ".conv.depthwise."},
    {".conv.2.fc.0.", ".conv.squeeze."},
    {".conv.2.fc.2.", ".conv.excite."},
    {".conv.3.", ".conv.pointwise."},
};

}  // namespace

std::string layer_name(std::string_view parameter) {
  std::string name = ".";
  name += parameter.substr(0, parameter.rfind('.'));
  name += '.';
  for (const auto& [piece, readable] : kPieces) {
    const std::size_t place = name.find(piece);
    if (place != std::string::npos) name.replace(place, piece.size(), readable);
  }
  std::ranges::replace(name, '.', '/');
  return name.substr(1, name.size() - 2);
}

std::string parent_of(const std::string& layer) {
  const std::size_t slash = layer.rfind('/');
  return slash == std::string::npos ? "" : layer.substr(0, slash);
}

std::string below(const std::string& layer, std::string_view name) {
  return layer.empty() ? std::string(name) : layer + "/" + std::string(name);
}

}  // namespace gcvit::onnx
