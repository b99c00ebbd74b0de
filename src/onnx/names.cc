// SPDX-License-Identifier: Apache-2.0
#include "onnx/names.h"

namespace gcvit::onnx {
std::string parent_of(const std::string& layer) {
  const std::size_t slash = layer.rfind('/');
  return slash == std::string::npos ? "" : layer.substr(0, slash);
}

std::string below(const std::string& layer, std::string_view name) {
  return layer.empty() ? std::string(name) : layer + "/" + std::string(name);
}

}  // namespace gcvit::onnx
