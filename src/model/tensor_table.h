// SPDX-License-Identifier: Apache-2.0
// The one table of GCViT's tensors: what each is called by us and by others, where it stands, what it is for. Everything that
// knows a tensor by name knows it from here; a test makes sure that the modules' parameters and the rows agree.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "ops/parameter.h"

namespace gcvit::model {

/// The parts of the model that a tensor can be in.
enum class Part : std::uint8_t { kStem, kQueryGenerator, kBlock, kDownsample, kNorm, kHead };

/// The blocks that a row is about.
enum class Blocks : std::uint8_t { kAll, kLocal, kGlobal };

/// A kind of tensor. In names `#` stands for a number from 0 on and `+` for one from 1 on: first the level's, then the one of
/// the block or of the query generator's feature extraction.
struct TensorRow {
  std::string_view name;  ///< canonical, which is NVlabs'
  Part part;
  ops::Role role;
  std::string_view timm;
  std::string_view flaim;  ///< with dots between the keys of the pytree
  /// Keras 3's path within the part: the roles of layers and the variable's number. `conv/` has members without roles of
  /// their own, which stand under the names of the Keras example.
  std::string_view keras;
  std::string_view readable;  ///< the layer within its part, as a person reads it; empty for the part itself
  Blocks blocks = Blocks::kAll;
  bool matrix_is_convolution_in_timm = false;  ///< timm keeps this [out, in] matrix as a 1x1 convolution
};

std::span<const TensorRow> tensor_rows();

/// The matrices and kernels: what frameworks store with other axes, and weight decay is for.
constexpr bool is_weight(ops::Role role) {
  return role == ops::Role::kConvolution || role == ops::Role::kDepthwise || role == ops::Role::kLinear ||
         role == ops::Role::kPointwise;
}

/// A tensor of the model: its row and the numbers in its name.
struct TensorPlace {
  const TensorRow* row;
  std::int32_t level = 0;  ///< for the stem, the norm and the head 0
  std::int32_t index = 0;  ///< of the block or the feature extraction, else 0
};

/// The place of the tensor with this canonical name; nullopt when GCViT has none.
std::optional<TensorPlace> find_tensor(std::string_view name);

/// The same by the names in another column, e.g. `&TensorRow::timm`.
std::optional<TensorPlace> find_tensor(std::string_view name, std::string_view TensorRow::* column);

/// The name of a tensor in a column.
std::string tensor_name(const TensorPlace& place, std::string_view TensorRow::* column = &TensorRow::name);

/// The pattern with its numbers put in; parts that have fewer ignore the rest.
std::string with_numbers(std::string_view pattern, std::int32_t level, std::int32_t index = 0);

/// What a level's tensors have in front: "levels.0".
std::string level_name(std::int32_t level);
/// "levels.0.blocks." and "levels.0.q_global_gen.to_q_global.", before the number.
std::string blocks_prefix(std::int32_t level);
std::string query_generator_prefix(std::int32_t level);

/// False for a row about blocks of the other kind than this one.
bool is_about(const TensorRow& row, std::int32_t block);

/// Whether `name` begins with the first word of a name that `column` has for tensors of these parts: "levels.", "stem.".
bool shares_root(std::string_view name, std::string_view TensorRow::* column, std::initializer_list<Part> parts);

/// All tensors of a model, in the order in which its modules visit their parameters.
std::vector<TensorPlace> tensors_of(const GCViTConfig& config);

/// NVlabs' buffer beside a block's bias table, which holds no weights.
std::string index_buffer_name(std::int32_t level, std::int32_t block);

bool is_in(Part part, std::string_view name);

/// The name of a layer for people, from the canonical name of one of its tensors: "levels.0.blocks.1.attn.qkv.weight" ->
/// "level1/block1/attention/qkv". Levels count from 1. Of a tensor that isn't GCViT's it is the name without its last word.
std::string readable_layer(std::string_view name);

/// Rows that others refer to.
namespace tensors {
inline constexpr std::string_view kStemWeight = "patch_embed.proj.weight";
inline constexpr std::string_view kStemSqueeze = "patch_embed.conv_down.conv.2.fc.0.weight";
inline constexpr std::string_view kBiasTable = "levels.#.blocks.#.attn.relative_position_bias_table";
inline constexpr std::string_view kGamma1 = "levels.#.blocks.#.gamma1";
inline constexpr std::string_view kFc1Weight = "levels.#.blocks.#.mlp.fc1.weight";
inline constexpr std::string_view kNormWeight = "norm.weight";
inline constexpr std::string_view kHeadWeight = "head.weight";
inline constexpr std::string_view kHeadBias = "head.bias";
/// No tensor of weights: NVlabs' buffer.
inline constexpr std::string_view kIndexBuffer = "levels.#.blocks.#.attn.relative_position_index";
}  // namespace tensors

/// The weights that make up nearly all of the work and of a file, and that int8 is enough for: those of a block's linear
/// layers, of the downsamplers' 1x1 and strided convolutions (the stem's one too) and of the query generators' 1x1 ones.
/// The others stay floats, as the stem's first convolution: it sees three channels.
constexpr bool may_be_i8(const TensorRow& row) {
  switch (row.part) {
    case Part::kBlock: return row.role == ops::Role::kLinear;
    case Part::kStem:
      return row.role == ops::Role::kPointwise ||
             (row.role == ops::Role::kConvolution && row.name != tensors::kStemWeight);
    case Part::kDownsample: return row.role == ops::Role::kPointwise || row.role == ops::Role::kConvolution;
    case Part::kQueryGenerator: return row.role == ops::Role::kPointwise;
    default: return false;
  }
}

}  // namespace gcvit::model
