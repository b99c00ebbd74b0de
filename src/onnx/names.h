// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace gcvit::onnx {

/// "level1/block1/attention/qkv" -> "level1/block1/attention"; "" when there is no slash.
std::string parent_of(const std::string& layer);

/// "a" and "b" -> "a/b"; an empty `layer` adds no slash.
std::string below(const std::string& layer, std::string_view name);

}  // namespace gcvit::onnx
