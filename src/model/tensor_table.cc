// SPDX-License-Identifier: Apache-2.0
#include "model/tensor_table.h"

#include <algorithm>
#include <array>

namespace gcvit::model {
namespace {

using ops::Role;

constexpr TensorRow kRows[] = {
    {tensors::kStemWeight, Part::kStem, Role::kConvolution, "stem.conv1.weight", "GCViTStem_0.Conv_0.Conv_0.kernel",
     "proj/vars/0", "proj"},
    {"patch_embed.proj.bias", Part::kStem, Role::kBias, "stem.conv1.bias", "GCViTStem_0.Conv_0.Conv_0.bias",
     "proj/vars/1", "proj"},
    {"patch_embed.conv_down.norm1.weight", Part::kStem, Role::kNormScale, "stem.down.norm1.weight",
     "GCViTStem_0.GCViTDownsample_0.LayerNorm_0.scale", "conv_down/norm1/vars/0", "conv_down/norm1"},
    {"patch_embed.conv_down.norm1.bias", Part::kStem, Role::kNormShift, "stem.down.norm1.bias",
     "GCViTStem_0.GCViTDownsample_0.LayerNorm_0.bias", "conv_down/norm1/vars/1", "conv_down/norm1"},
    {"patch_embed.conv_down.conv.0.weight", Part::kStem, Role::kDepthwise, "stem.down.conv_block.conv_dw.weight",
     "GCViTStem_0.GCViTDownsample_0.GCViTFusedMBConv_0.ConvBNAct_0.Conv_0.Conv_0.kernel",
     "conv_down/conv/depthwise_conv2d/vars/0", "conv_down/conv/depthwise"},
    {tensors::kStemSqueeze, Part::kStem, Role::kLinear, "stem.down.conv_block.se.fc1.weight",
     "GCViTStem_0.GCViTDownsample_0.GCViTFusedMBConv_0.SE_0.MLP_0.Dense_0.kernel",
     "conv_down/conv/squeeze_and_excitation/fc/dense/vars/0", "conv_down/conv/squeeze", Blocks::kAll, true},
    {"patch_embed.conv_down.conv.2.fc.2.weight", Part::kStem, Role::kLinear, "stem.down.conv_block.se.fc2.weight",
     "GCViTStem_0.GCViTDownsample_0.GCViTFusedMBConv_0.SE_0.MLP_0.Dense_1.kernel",
     "conv_down/conv/squeeze_and_excitation/fc/dense_1/vars/0", "conv_down/conv/excite", Blocks::kAll, true},
    {"patch_embed.conv_down.conv.3.weight", Part::kStem, Role::kPointwise, "stem.down.conv_block.conv_pw.weight",
     "GCViTStem_0.GCViTDownsample_0.GCViTFusedMBConv_0.Conv_0.Conv_0.kernel", "conv_down/conv/conv2d/vars/0",
     "conv_down/conv/pointwise"},
    {"patch_embed.conv_down.reduction.weight", Part::kStem, Role::kConvolution, "stem.down.reduction.weight",
     "GCViTStem_0.GCViTDownsample_0.Conv_0.Conv_0.kernel", "conv_down/reduction/vars/0", "conv_down/reduction"},
    {"patch_embed.conv_down.norm2.weight", Part::kStem, Role::kNormScale, "stem.down.norm2.weight",
     "GCViTStem_0.GCViTDownsample_0.LayerNorm_1.scale", "conv_down/norm2/vars/0", "conv_down/norm2"},
    {"patch_embed.conv_down.norm2.bias", Part::kStem, Role::kNormShift, "stem.down.norm2.bias",
     "GCViTStem_0.GCViTDownsample_0.LayerNorm_1.bias", "conv_down/norm2/vars/1", "conv_down/norm2"},
    {"levels.#.q_global_gen.to_q_global.#.conv.0.weight", Part::kQueryGenerator, Role::kDepthwise,
     "stages.#.global_block.blocks.conv+.conv_dw.weight",
     "GCViTStage_#.GlobalQuery_0.GCViTFusedMBConv_#.ConvBNAct_0.Conv_0.Conv_0.kernel", "conv/depthwise_conv2d/vars/0",
     "conv/depthwise"},
    {"levels.#.q_global_gen.to_q_global.#.conv.2.fc.0.weight", Part::kQueryGenerator, Role::kLinear,
     "stages.#.global_block.blocks.conv+.se.fc1.weight",
     "GCViTStage_#.GlobalQuery_0.GCViTFusedMBConv_#.SE_0.MLP_0.Dense_0.kernel",
     "conv/squeeze_and_excitation/fc/dense/vars/0", "conv/squeeze", Blocks::kAll, true},
    {"levels.#.q_global_gen.to_q_global.#.conv.2.fc.2.weight", Part::kQueryGenerator, Role::kLinear,
     "stages.#.global_block.blocks.conv+.se.fc2.weight",
     "GCViTStage_#.GlobalQuery_0.GCViTFusedMBConv_#.SE_0.MLP_0.Dense_1.kernel",
     "conv/squeeze_and_excitation/fc/dense_1/vars/0", "conv/excite", Blocks::kAll, true},
    {"levels.#.q_global_gen.to_q_global.#.conv.3.weight", Part::kQueryGenerator, Role::kPointwise,
     "stages.#.global_block.blocks.conv+.conv_pw.weight",
     "GCViTStage_#.GlobalQuery_0.GCViTFusedMBConv_#.Conv_0.Conv_0.kernel", "conv/conv2d/vars/0", "conv/pointwise"},
    {"levels.#.blocks.#.norm1.weight", Part::kBlock, Role::kNormScale, "stages.#.blocks.#.norm1.weight",
     "GCViTStage_#.GCViTBlock_#.LayerNorm_0.scale", "norm1/vars/0", "norm1"},
    {"levels.#.blocks.#.norm1.bias", Part::kBlock, Role::kNormShift, "stages.#.blocks.#.norm1.bias",
     "GCViTStage_#.GCViTBlock_#.LayerNorm_0.bias", "norm1/vars/1", "norm1"},
    {tensors::kBiasTable, Part::kBlock, Role::kBiasTable, "stages.#.blocks.#.attn.rel_pos.relative_position_bias_table",
     "GCViTStage_#.GCViTBlock_#.WindowMHSA_0.MHSA_0.RelPosEmbed_0.Embed_0.embedding", "attn/vars/0", "attention"},
    {"levels.#.blocks.#.attn.qkv.weight", Part::kBlock, Role::kLinear, "stages.#.blocks.#.attn.qkv.weight",
     "GCViTStage_#.GCViTBlock_#.WindowMHSA_0.QKV_0.Dense_0.kernel", "attn/qkv/vars/0", "attention/qkv", Blocks::kLocal},
    {"levels.#.blocks.#.attn.qkv.bias", Part::kBlock, Role::kBias, "stages.#.blocks.#.attn.qkv.bias",
     "GCViTStage_#.GCViTBlock_#.WindowMHSA_0.QKV_0.Dense_0.bias", "attn/qkv/vars/1", "attention/qkv", Blocks::kLocal},
    {"levels.#.blocks.#.attn.qkv.weight", Part::kBlock, Role::kLinear, "stages.#.blocks.#.attn.qkv.weight",
     "GCViTStage_#.GCViTBlock_#.WindowMHSA_0.Dense_0.kernel", "attn/qkv/vars/0", "attention/qkv", Blocks::kGlobal},
    {"levels.#.blocks.#.attn.qkv.bias", Part::kBlock, Role::kBias, "stages.#.blocks.#.attn.qkv.bias",
     "GCViTStage_#.GCViTBlock_#.WindowMHSA_0.Dense_0.bias", "attn/qkv/vars/1", "attention/qkv", Blocks::kGlobal},
    {"levels.#.blocks.#.attn.proj.weight", Part::kBlock, Role::kLinear, "stages.#.blocks.#.attn.proj.weight",
     "GCViTStage_#.GCViTBlock_#.WindowMHSA_0.MHSA_0.ProjOut_0.Dense_0.kernel", "attn/proj/vars/0", "attention/proj"},
    {"levels.#.blocks.#.attn.proj.bias", Part::kBlock, Role::kBias, "stages.#.blocks.#.attn.proj.bias",
     "GCViTStage_#.GCViTBlock_#.WindowMHSA_0.MHSA_0.ProjOut_0.Dense_0.bias", "attn/proj/vars/1", "attention/proj"},
    {tensors::kGamma1, Part::kBlock, Role::kLayerScale, "stages.#.blocks.#.ls1.gamma",
     "GCViTStage_#.GCViTBlock_#.LayerScale_0.lambda", "vars/0", ""},
    {"levels.#.blocks.#.norm2.weight", Part::kBlock, Role::kNormScale, "stages.#.blocks.#.norm2.weight",
     "GCViTStage_#.GCViTBlock_#.TransformerMLP_0.LayerNorm_0.scale", "norm2/vars/0", "norm2"},
    {"levels.#.blocks.#.norm2.bias", Part::kBlock, Role::kNormShift, "stages.#.blocks.#.norm2.bias",
     "GCViTStage_#.GCViTBlock_#.TransformerMLP_0.LayerNorm_0.bias", "norm2/vars/1", "norm2"},
    {tensors::kFc1Weight, Part::kBlock, Role::kLinear, "stages.#.blocks.#.mlp.fc1.weight",
     "GCViTStage_#.GCViTBlock_#.TransformerMLP_0.MLP_0.Dense_0.kernel", "mlp/fc1/vars/0", "mlp/fc1"},
    {"levels.#.blocks.#.mlp.fc1.bias", Part::kBlock, Role::kBias, "stages.#.blocks.#.mlp.fc1.bias",
     "GCViTStage_#.GCViTBlock_#.TransformerMLP_0.MLP_0.Dense_0.bias", "mlp/fc1/vars/1", "mlp/fc1"},
    {"levels.#.blocks.#.mlp.fc2.weight", Part::kBlock, Role::kLinear, "stages.#.blocks.#.mlp.fc2.weight",
     "GCViTStage_#.GCViTBlock_#.TransformerMLP_0.MLP_0.Dense_1.kernel", "mlp/fc2/vars/0", "mlp/fc2"},
    {"levels.#.blocks.#.mlp.fc2.bias", Part::kBlock, Role::kBias, "stages.#.blocks.#.mlp.fc2.bias",
     "GCViTStage_#.GCViTBlock_#.TransformerMLP_0.MLP_0.Dense_1.bias", "mlp/fc2/vars/1", "mlp/fc2"},
    {"levels.#.blocks.#.gamma2", Part::kBlock, Role::kLayerScale, "stages.#.blocks.#.ls2.gamma",
     "GCViTStage_#.GCViTBlock_#.TransformerMLP_0.LayerScale_0.lambda", "vars/1", ""},
    // The downsample that ends a level of ours starts timm's and flaim's next stage.
    {"levels.#.downsample.norm1.weight", Part::kDownsample, Role::kNormScale, "stages.+.downsample.norm1.weight",
     "GCViTStage_+.GCViTDownsample_0.LayerNorm_0.scale", "norm1/vars/0", "norm1"},
    {"levels.#.downsample.norm1.bias", Part::kDownsample, Role::kNormShift, "stages.+.downsample.norm1.bias",
     "GCViTStage_+.GCViTDownsample_0.LayerNorm_0.bias", "norm1/vars/1", "norm1"},
    {"levels.#.downsample.conv.0.weight", Part::kDownsample, Role::kDepthwise,
     "stages.+.downsample.conv_block.conv_dw.weight",
     "GCViTStage_+.GCViTDownsample_0.GCViTFusedMBConv_0.ConvBNAct_0.Conv_0.Conv_0.kernel",
     "conv/depthwise_conv2d/vars/0", "conv/depthwise"},
    {"levels.#.downsample.conv.2.fc.0.weight", Part::kDownsample, Role::kLinear,
     "stages.+.downsample.conv_block.se.fc1.weight",
     "GCViTStage_+.GCViTDownsample_0.GCViTFusedMBConv_0.SE_0.MLP_0.Dense_0.kernel",
     "conv/squeeze_and_excitation/fc/dense/vars/0", "conv/squeeze", Blocks::kAll, true},
    {"levels.#.downsample.conv.2.fc.2.weight", Part::kDownsample, Role::kLinear,
     "stages.+.downsample.conv_block.se.fc2.weight",
     "GCViTStage_+.GCViTDownsample_0.GCViTFusedMBConv_0.SE_0.MLP_0.Dense_1.kernel",
     "conv/squeeze_and_excitation/fc/dense_1/vars/0", "conv/excite", Blocks::kAll, true},
    {"levels.#.downsample.conv.3.weight", Part::kDownsample, Role::kPointwise,
     "stages.+.downsample.conv_block.conv_pw.weight",
     "GCViTStage_+.GCViTDownsample_0.GCViTFusedMBConv_0.Conv_0.Conv_0.kernel", "conv/conv2d/vars/0", "conv/pointwise"},
    {"levels.#.downsample.reduction.weight", Part::kDownsample, Role::kConvolution,
     "stages.+.downsample.reduction.weight", "GCViTStage_+.GCViTDownsample_0.Conv_0.Conv_0.kernel", "reduction/vars/0",
     "reduction"},
    {"levels.#.downsample.norm2.weight", Part::kDownsample, Role::kNormScale, "stages.+.downsample.norm2.weight",
     "GCViTStage_+.GCViTDownsample_0.LayerNorm_1.scale", "norm2/vars/0", "norm2"},
    {"levels.#.downsample.norm2.bias", Part::kDownsample, Role::kNormShift, "stages.+.downsample.norm2.bias",
     "GCViTStage_+.GCViTDownsample_0.LayerNorm_1.bias", "norm2/vars/1", "norm2"},
    {tensors::kNormWeight, Part::kNorm, Role::kNormScale, "stages.3.norm.weight", "GCViTStage_3.LayerNorm_0.scale",
     "vars/0", ""},
    {"norm.bias", Part::kNorm, Role::kNormShift, "stages.3.norm.bias", "GCViTStage_3.LayerNorm_0.bias", "vars/1", ""},
    {tensors::kHeadWeight, Part::kHead, Role::kLinear, "head.fc.weight", "Head_0.Dense_0.kernel", "vars/0", ""},
    {tensors::kHeadBias, Part::kHead, Role::kBias, "head.fc.bias", "Head_0.Dense_0.bias", "vars/1", ""},
};

constexpr std::string_view kDigits = "0123456789";
constexpr std::size_t kLongestNumber = 6;

/// The words that a part's names begin with, and what a person reads before its layers.
struct PartNames {
  Part part;
  std::string_view prefix;
  std::string_view readable;  ///< levels count from 1
};

constexpr PartNames kParts[] = {
    {Part::kStem, "patch_embed.", "patch_embed"},
    {Part::kQueryGenerator, "levels.#.q_global_gen.to_q_global.", "level+/global_query/#"},
    {Part::kBlock, "levels.#.blocks.", "level+/block#"},
    {Part::kDownsample, "levels.#.downsample.", "level+/downsample"},
    {Part::kNorm, "norm.", "norm"},
    {Part::kHead, "head.", "head"},
};

constexpr const PartNames& names_of(Part part) { return *std::ranges::find(kParts, part, &PartNames::part); }

/// The numbers that the signs of `pattern` stand for in `name`, from 0 on; nullopt when the name is another.
std::optional<std::array<std::int32_t, 2>> match(std::string_view pattern, std::string_view name) {
  std::array<std::int32_t, 2> numbers{0, 0};
  std::size_t number = 0;
  while (!pattern.empty()) {
    if (pattern.front() == '#' || pattern.front() == '+') {
      const std::size_t digits = std::min(name.find_first_not_of(kDigits), name.size());
      if (digits == 0 || digits > kLongestNumber || (digits > 1 && name.front() == '0')) return std::nullopt;
      std::int32_t value = pattern.front() == '+' ? -1 : 0;
      std::int32_t read = 0;
      for (const char digit : name.substr(0, digits)) read = 10 * read + (digit - '0');
      value += read;
      if (value < 0) return std::nullopt;
      numbers[number++] = value;
      name.remove_prefix(digits);
    } else {
      if (name.empty() || name.front() != pattern.front()) return std::nullopt;
      name.remove_prefix(1);
    }
    pattern.remove_prefix(1);
  }
  if (!name.empty()) return std::nullopt;
  return numbers;
}

}  // namespace

bool is_about(const TensorRow& row, std::int32_t block) {
  return row.blocks == Blocks::kAll || (block % 2 == 0) == (row.blocks == Blocks::kLocal);
}

std::span<const TensorRow> tensor_rows() { return kRows; }

std::optional<TensorPlace> find_tensor(std::string_view name) { return find_tensor(name, &TensorRow::name); }

std::optional<TensorPlace> find_tensor(std::string_view name, std::string_view TensorRow::* column) {
  for (const TensorRow& row : kRows) {
    const auto numbers = match(row.*column, name);
    if (numbers && is_about(row, (*numbers)[1])) return TensorPlace{&row, (*numbers)[0], (*numbers)[1]};
  }
  return std::nullopt;
}

std::string tensor_name(const TensorPlace& place, std::string_view TensorRow::* column) {
  return with_numbers(place.row->*column, place.level, place.index);
}

std::string with_numbers(std::string_view pattern, std::int32_t level, std::int32_t index) {
  std::string name;
  std::int32_t next = level;
  for (const char letter : pattern) {
    if (letter == '#' || letter == '+') {
      name += std::to_string(letter == '+' ? next + 1 : next);
      next = index;
    } else {
      name.push_back(letter);
    }
  }
  return name;
}

std::string level_name(std::int32_t level) { return with_numbers("levels.#", level); }

std::string blocks_prefix(std::int32_t level) { return with_numbers(names_of(Part::kBlock).prefix, level); }

std::string query_generator_prefix(std::int32_t level) {
  return with_numbers(names_of(Part::kQueryGenerator).prefix, level);
}

std::string index_buffer_name(std::int32_t level, std::int32_t block) {
  return with_numbers(tensors::kIndexBuffer, level, block);
}

bool shares_root(std::string_view name, std::string_view TensorRow::* column, std::initializer_list<Part> parts) {
  return std::ranges::any_of(kRows, [&](const TensorRow& row) {
    const std::string_view pattern = row.*column;
    return std::ranges::find(parts, row.part) != parts.end() &&
           name.starts_with(pattern.substr(0, std::min(pattern.find('.') + 1, pattern.find_first_of("#+"))));
  });
}

std::vector<TensorPlace> tensors_of(const GCViTConfig& config) {
  std::vector<TensorPlace> places;
  const auto append = [&](Part part, std::int32_t level, std::int32_t index) {
    for (const TensorRow& row : kRows) {
      if (row.part != part || !is_about(row, index)) continue;
      if (row.role == Role::kLayerScale && !config.layer_scale) continue;
      places.push_back({&row, level, index});
    }
  };
  append(Part::kStem, 0, 0);
  for (std::int32_t level = 0; level < kLevels; ++level) {
    const std::int32_t extractions = std::max(config.query_reductions(level), 1);
    for (std::int32_t k = 0; k < extractions; ++k) append(Part::kQueryGenerator, level, k);
    for (std::int32_t n = 0; n < config.depths[static_cast<std::size_t>(level)]; ++n) append(Part::kBlock, level, n);
    if (level + 1 < kLevels) append(Part::kDownsample, level, 0);
  }
  append(Part::kNorm, 0, 0);
  append(Part::kHead, 0, 0);
  return places;
}

bool is_in(Part part, std::string_view name) {
  const std::optional<TensorPlace> place = find_tensor(name);
  return place && place->row->part == part;
}

std::string readable_layer(std::string_view name) {
  if (const std::optional<TensorPlace> place = find_tensor(name)) {
    std::string layer = with_numbers(names_of(place->row->part).readable, place->level, place->index);
    if (!place->row->readable.empty()) layer.append("/").append(place->row->readable);
    return layer;
  }
  std::string layer(name.substr(0, name.rfind('.')));
  std::ranges::replace(layer, '.', '/');
  return layer;
}

}  // namespace gcvit::model
