// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace gcvit::onnx {

/// The name of a layer's nodes, as a person reads it, from one of its parameters' canonical names:
/// "levels.0.blocks.1.attn.qkv.weight" -> "level1/block1/attention/qkv".
std::string layer_name(std::string_view parameter);

/// "level1/block1/attention/qkv" -> "level1/block1/attention"; "" when there is no slash.
std::string parent_of(const std::string& layer);

/// "a" and "b" -> "a/b"; an empty `layer` adds no slash.
std::string below(const std::string& layer, std::string_view name);

}  // namespace gcvit::onnx
