// SPDX-License-Identifier: Apache-2.0
#include "weights/names.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/error.h"
#include "formats/in_quotes.h"
#include "weights/keras_names.h"
#include "formats/permute.h"

namespace gcvit::weights {
namespace {

/// How a layout stores the tensor of a rule.
enum class Storage : std::uint8_t {
  kSame,
  kConvolution,  ///< this [out, in] matrix as a 1x1 convolution, [out, in, 1, 1]
  kKernel,       ///< [..., in, out]: a matrix transposed, a convolution [kh, kw, in, out]
};

/// Blocks that a rule is for.
enum class Blocks : std::uint8_t { kAll, kLocal, kGlobal };

/// What a layout and the canonical names have for the same tensors. `#` is a number, `*` the rest of the name. The
/// numbers stand in the same order on both sides, the layout's larger by `shift`; the second one is a block's.
struct Rule {
  std::string_view canonical;
  std::string_view other;
  std::array<int, 2> shift{0, 0};
  Storage storage = Storage::kSame;
  Blocks blocks = Blocks::kAll;
};

// timm's state_dict. The first rule that fits is the one, so the general ones stand last.
constexpr Rule kTimmRules[] = {
    {"patch_embed.proj.*", "stem.conv1.*"},
    {"patch_embed.conv_down.conv.0.*", "stem.down.conv_block.conv_dw.*"},
    {"patch_embed.conv_down.conv.2.fc.0.*", "stem.down.conv_block.se.fc1.*", {}, Storage::kConvolution},
    {"patch_embed.conv_down.conv.2.fc.2.*", "stem.down.conv_block.se.fc2.*", {}, Storage::kConvolution},
    {"patch_embed.conv_down.conv.3.*", "stem.down.conv_block.conv_pw.*"},
    {"patch_embed.conv_down.*", "stem.down.*"},
    // The downsample that ends a level of ours starts timm's next stage.
    {"levels.#.downsample.conv.0.*", "stages.#.downsample.conv_block.conv_dw.*", {1}},
    {"levels.#.downsample.conv.2.fc.0.*", "stages.#.downsample.conv_block.se.fc1.*", {1}, Storage::kConvolution},
    {"levels.#.downsample.conv.2.fc.2.*", "stages.#.downsample.conv_block.se.fc2.*", {1}, Storage::kConvolution},
    {"levels.#.downsample.conv.3.*", "stages.#.downsample.conv_block.conv_pw.*", {1}},
    {"levels.#.downsample.*", "stages.#.downsample.*", {1}},
    {"levels.#.q_global_gen.to_q_global.#.conv.0.*", "stages.#.global_block.blocks.conv#.conv_dw.*", {0, 1}},
    {"levels.#.q_global_gen.to_q_global.#.conv.2.fc.0.*",
     "stages.#.global_block.blocks.conv#.se.fc1.*",
     {0, 1},
     Storage::kConvolution},
    {"levels.#.q_global_gen.to_q_global.#.conv.2.fc.2.*",
     "stages.#.global_block.blocks.conv#.se.fc2.*",
     {0, 1},
     Storage::kConvolution},
    {"levels.#.q_global_gen.to_q_global.#.conv.3.*", "stages.#.global_block.blocks.conv#.conv_pw.*", {0, 1}},
    {"levels.#.blocks.#.attn.relative_position_bias_table",
     "stages.#.blocks.#.attn.rel_pos.relative_position_bias_table"},
    {"levels.#.blocks.#.gamma1", "stages.#.blocks.#.ls1.gamma"},
    {"levels.#.blocks.#.gamma2", "stages.#.blocks.#.ls2.gamma"},
    {"levels.#.blocks.#.*", "stages.#.blocks.#.*"},
    {"norm.*", "stages.3.norm.*"},
    {"head.*", "head.fc.*"},
};

// A JAX pytree's, joined by dots. The module names are those that Flax gives flaim's GCViT; its pools pad with minus
// infinity.
constexpr auto kKernel = Storage::kKernel;
constexpr Rule kJaxRules[] = {
    {"patch_embed.proj.weight", "GCViTStem_0.Conv_0.Conv_0.kernel", {}, kKernel},
    {"patch_embed.proj.bias", "GCViTStem_0.Conv_0.Conv_0.bias"},
    {"patch_embed.conv_down.norm1.weight", "GCViTStem_0.GCViTDownsample_0.LayerNorm_0.scale"},
    {"patch_embed.conv_down.norm1.bias", "GCViTStem_0.GCViTDownsample_0.LayerNorm_0.bias"},
    {"patch_embed.conv_down.conv.0.weight",
     "GCViTStem_0.GCViTDownsample_0.GCViTFusedMBConv_0.ConvBNAct_0.Conv_0.Conv_0.kernel",
     {},
     kKernel},
    {"patch_embed.conv_down.conv.2.fc.0.weight",
     "GCViTStem_0.GCViTDownsample_0.GCViTFusedMBConv_0.SE_0.MLP_0.Dense_0.kernel",
     {},
     kKernel},
    {"patch_embed.conv_down.conv.2.fc.2.weight",
     "GCViTStem_0.GCViTDownsample_0.GCViTFusedMBConv_0.SE_0.MLP_0.Dense_1.kernel",
     {},
     kKernel},
    {"patch_embed.conv_down.conv.3.weight",
     "GCViTStem_0.GCViTDownsample_0.GCViTFusedMBConv_0.Conv_0.Conv_0.kernel",
     {},
     kKernel},
    {"patch_embed.conv_down.reduction.weight", "GCViTStem_0.GCViTDownsample_0.Conv_0.Conv_0.kernel", {}, kKernel},
    {"patch_embed.conv_down.norm2.weight", "GCViTStem_0.GCViTDownsample_0.LayerNorm_1.scale"},
    {"patch_embed.conv_down.norm2.bias", "GCViTStem_0.GCViTDownsample_0.LayerNorm_1.bias"},
    // The downsample that ends a level of ours starts flaim's next stage.
    {"levels.#.downsample.norm1.weight", "GCViTStage_#.GCViTDownsample_0.LayerNorm_0.scale", {1}},
    {"levels.#.downsample.norm1.bias", "GCViTStage_#.GCViTDownsample_0.LayerNorm_0.bias", {1}},
    {"levels.#.downsample.conv.0.weight",
     "GCViTStage_#.GCViTDownsample_0.GCViTFusedMBConv_0.ConvBNAct_0.Conv_0.Conv_0.kernel",
     {1},
     kKernel},
    {"levels.#.downsample.conv.2.fc.0.weight",
     "GCViTStage_#.GCViTDownsample_0.GCViTFusedMBConv_0.SE_0.MLP_0.Dense_0.kernel",
     {1},
     kKernel},
    {"levels.#.downsample.conv.2.fc.2.weight",
     "GCViTStage_#.GCViTDownsample_0.GCViTFusedMBConv_0.SE_0.MLP_0.Dense_1.kernel",
     {1},
     kKernel},
    {"levels.#.downsample.conv.3.weight",
     "GCViTStage_#.GCViTDownsample_0.GCViTFusedMBConv_0.Conv_0.Conv_0.kernel",
     {1},
     kKernel},
    {"levels.#.downsample.reduction.weight", "GCViTStage_#.GCViTDownsample_0.Conv_0.Conv_0.kernel", {1}, kKernel},
    {"levels.#.downsample.norm2.weight", "GCViTStage_#.GCViTDownsample_0.LayerNorm_1.scale", {1}},
    {"levels.#.downsample.norm2.bias", "GCViTStage_#.GCViTDownsample_0.LayerNorm_1.bias", {1}},
    {"levels.#.q_global_gen.to_q_global.#.conv.0.weight",
     "GCViTStage_#.GlobalQuery_0.GCViTFusedMBConv_#.ConvBNAct_0.Conv_0.Conv_0.kernel",
     {},
     kKernel},
    {"levels.#.q_global_gen.to_q_global.#.conv.2.fc.0.weight",
     "GCViTStage_#.GlobalQuery_0.GCViTFusedMBConv_#.SE_0.MLP_0.Dense_0.kernel",
     {},
     kKernel},
    {"levels.#.q_global_gen.to_q_global.#.conv.2.fc.2.weight",
     "GCViTStage_#.GlobalQuery_0.GCViTFusedMBConv_#.SE_0.MLP_0.Dense_1.kernel",
     {},
     kKernel},
    {"levels.#.q_global_gen.to_q_global.#.conv.3.weight",
     "GCViTStage_#.GlobalQuery_0.GCViTFusedMBConv_#.Conv_0.Conv_0.kernel",
     {},
     kKernel},
    {"levels.#.blocks.#.norm1.weight", "GCViTStage_#.GCViTBlock_#.LayerNorm_0.scale"},
    {"levels.#.blocks.#.norm1.bias", "GCViTStage_#.GCViTBlock_#.LayerNorm_0.bias"},
    {"levels.#.blocks.#.attn.relative_position_bias_table",
     "GCViTStage_#.GCViTBlock_#.WindowMHSA_0.MHSA_0.RelPosEmbed_0.Embed_0.embedding"},
    {"levels.#.blocks.#.attn.qkv.weight",
     "GCViTStage_#.GCViTBlock_#.WindowMHSA_0.QKV_0.Dense_0.kernel",
     {},
     kKernel,
     Blocks::kLocal},
    {"levels.#.blocks.#.attn.qkv.bias",
     "GCViTStage_#.GCViTBlock_#.WindowMHSA_0.QKV_0.Dense_0.bias",
     {},
     Storage::kSame,
     Blocks::kLocal},
    {"levels.#.blocks.#.attn.qkv.weight",
     "GCViTStage_#.GCViTBlock_#.WindowMHSA_0.Dense_0.kernel",
     {},
     kKernel,
     Blocks::kGlobal},
    {"levels.#.blocks.#.attn.qkv.bias",
     "GCViTStage_#.GCViTBlock_#.WindowMHSA_0.Dense_0.bias",
     {},
     Storage::kSame,
     Blocks::kGlobal},
    {"levels.#.blocks.#.attn.proj.weight",
     "GCViTStage_#.GCViTBlock_#.WindowMHSA_0.MHSA_0.ProjOut_0.Dense_0.kernel",
     {},
     kKernel},
    {"levels.#.blocks.#.attn.proj.bias", "GCViTStage_#.GCViTBlock_#.WindowMHSA_0.MHSA_0.ProjOut_0.Dense_0.bias"},
    {"levels.#.blocks.#.gamma1", "GCViTStage_#.GCViTBlock_#.LayerScale_0.lambda"},
    {"levels.#.blocks.#.norm2.weight", "GCViTStage_#.GCViTBlock_#.TransformerMLP_0.LayerNorm_0.scale"},
    {"levels.#.blocks.#.norm2.bias", "GCViTStage_#.GCViTBlock_#.TransformerMLP_0.LayerNorm_0.bias"},
    {"levels.#.blocks.#.mlp.fc1.weight",
     "GCViTStage_#.GCViTBlock_#.TransformerMLP_0.MLP_0.Dense_0.kernel",
     {},
     kKernel},
    {"levels.#.blocks.#.mlp.fc1.bias", "GCViTStage_#.GCViTBlock_#.TransformerMLP_0.MLP_0.Dense_0.bias"},
    {"levels.#.blocks.#.mlp.fc2.weight",
     "GCViTStage_#.GCViTBlock_#.TransformerMLP_0.MLP_0.Dense_1.kernel",
     {},
     kKernel},
    {"levels.#.blocks.#.mlp.fc2.bias", "GCViTStage_#.GCViTBlock_#.TransformerMLP_0.MLP_0.Dense_1.bias"},
    {"levels.#.blocks.#.gamma2", "GCViTStage_#.GCViTBlock_#.TransformerMLP_0.LayerScale_0.lambda"},
    {"norm.weight", "GCViTStage_3.LayerNorm_0.scale"},
    {"norm.bias", "GCViTStage_3.LayerNorm_0.bias"},
    {"head.weight", "Head_0.Dense_0.kernel", {}, kKernel},
    {"head.bias", "Head_0.Dense_0.bias"},
};

/// The rules between a layout and the canonical names; none where the names are the same.
std::span<const Rule> rules_of(Layout layout) {
  if (layout == Layout::kTimm) return kTimmRules;
  if (layout == Layout::kJax) return kJaxRules;
  return {};
}

/// What the `#` and the `*` of a pattern stood for.
struct Match {
  std::array<int, 2> numbers{0, 0};
  std::string_view rest;
};

constexpr std::size_t kLongestNumber = 6;

std::optional<Match> match(std::string_view pattern, std::string_view name) {
  Match found;
  std::size_t number = 0;
  while (!pattern.empty()) {
    if (pattern.front() == '*') {
      found.rest = name;
      return found;
    }
    if (pattern.front() == '#') {
      const std::size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
      if (digits == 0 || digits > kLongestNumber || (digits > 1 && name.front() == '0')) return std::nullopt;
      int& value = found.numbers[number++];
      for (const char digit : name.substr(0, digits)) value = 10 * value + (digit - '0');
      name.remove_prefix(digits);
    } else {
      if (name.empty() || name.front() != pattern.front()) return std::nullopt;
      name.remove_prefix(1);
    }
    pattern.remove_prefix(1);
  }
  if (!name.empty()) return std::nullopt;
  return found;
}

/// The pattern with the match put in; nullopt when a number would be negative.
std::optional<std::string> fill(std::string_view pattern, const Match& match, const Rule& rule, int direction) {
  std::string name;
  std::size_t number = 0;
  for (const char letter : pattern) {
    if (letter == '*') {
      name += match.rest;
    } else if (letter == '#') {
      const int value = match.numbers[number] + direction * rule.shift[number];
      if (value < 0) return std::nullopt;
      name += std::to_string(value);
      ++number;
    } else {
      name.push_back(letter);
    }
  }
  return name;
}

bool is_for(Blocks blocks, const Match& match) {
  return blocks == Blocks::kAll || (match.numbers[1] % 2 == 0) == (blocks == Blocks::kLocal);
}

struct Translated {
  std::string name;
  Storage storage;
};

std::optional<Translated> from_canonical(Layout layout, std::string_view canonical) {
  if (layout == Layout::kKeras) return Translated{keras_path(canonical), Storage::kSame};
  const std::span<const Rule> rules = rules_of(layout);
  if (rules.empty()) return Translated{std::string(canonical), Storage::kSame};
  for (const Rule& rule : rules) {
    const auto found = match(rule.canonical, canonical);
    if (!found || !is_for(rule.blocks, *found)) continue;
    auto name = fill(rule.other, *found, rule, +1);
    if (!name) return std::nullopt;
    return Translated{std::move(*name), rule.storage};
  }
  return std::nullopt;
}

std::optional<Translated> by_rules(Layout layout, std::string_view name) {
  const std::span<const Rule> rules = rules_of(layout);
  if (rules.empty()) return Translated{std::string(name), Storage::kSame};
  for (const Rule& rule : rules) {
    const auto found = match(rule.other, name);
    if (!found) continue;
    auto canonical = fill(rule.canonical, *found, rule, -1);
    // A name that only a general rule lets through, as stages.0.blocks.0.gamma1 with timm, is none of the layout's:
    // two names would mean one tensor.
    if (!canonical) return std::nullopt;
    const auto back = from_canonical(layout, *canonical);
    if (!back || back->name != name) return std::nullopt;
    return Translated{std::move(*canonical), rule.storage};
  }
  return std::nullopt;
}

bool has_any_prefix(std::string_view name, std::initializer_list<std::string_view> prefixes) {
  return std::ranges::any_of(prefixes, [&](std::string_view prefix) { return name.starts_with(prefix); });
}

bool is_canonical(std::string_view name) { return has_any_prefix(name, {"patch_embed.", "levels.", "norm.", "head."}); }

/// A pytree's path with dots between its keys, whatever stood there, and without the collection it is in.
std::string dotted(std::string_view path) {
  std::string name(path);
  std::ranges::replace(name, '/', '.');
  if (name.starts_with("params.")) name.erase(0, 7);
  return name;
}

bool is_jax(std::string_view name) {
  return has_any_prefix(name, {"GCViTStem_", "GCViTStage_"}) || (is_canonical(name) && name.ends_with(".kernel"));
}

std::optional<Translated> from_jax(std::string_view path) {
  const std::string name = dotted(path);
  if (!is_canonical(name)) return by_rules(Layout::kJax, name);
  const auto with_leaf = [&](std::string_view leaf, std::string_view canonical) {
    return name.substr(0, name.size() - leaf.size()) + std::string(canonical);
  };
  if (name.ends_with(".kernel")) return Translated{with_leaf(".kernel", ".weight"), Storage::kKernel};
  if (name.ends_with(".scale")) return Translated{with_leaf(".scale", ".weight"), Storage::kSame};
  if (name.ends_with(".embedding")) return Translated{with_leaf(".embedding", ""), Storage::kSame};
  return Translated{name, Storage::kSame};
}

std::optional<Translated> into_canonical(Layout layout, std::string_view name) {
  if (layout == Layout::kKeras) return std::nullopt;
  return layout == Layout::kJax ? from_jax(name) : by_rules(layout, name);
}

/// The tensor as the canonical layout has it. Another rank than the storage's stays; the model will say what it lacks.
Tensor to_canonical_storage(Tensor tensor, Storage storage) {
  const Dims& dims = tensor.dims();
  if (storage == Storage::kConvolution && dims.size() == 4 && dims[2] == 1 && dims[3] == 1) {
    return tensor.reshaped({dims[0], dims[1]});
  }
  if (storage == Storage::kKernel && dims.size() == 2) return formats::permuted(tensor, {1, 0});
  if (storage == Storage::kKernel && dims.size() == 4) return formats::permuted(tensor, {3, 2, 0, 1});
  return tensor;
}

/// And back.
Tensor to_layout_storage(Tensor tensor, Storage storage) {
  const Dims& dims = tensor.dims();
  if (storage == Storage::kConvolution && dims.size() == 2) return tensor.reshaped({dims[0], dims[1], 1, 1});
  if (storage == Storage::kKernel && dims.size() == 2) return formats::permuted(tensor, {1, 0});
  if (storage == Storage::kKernel && dims.size() == 4) return formats::permuted(tensor, {2, 3, 1, 0});
  return tensor;
}

}  // namespace

std::string_view name_of(Layout layout) {
  switch (layout) {
    case Layout::kCanonical: return "canonical";
    case Layout::kNvlabs: return "nvlabs";
    case Layout::kTimm: return "timm";
    case Layout::kJax: return "jax";
    case Layout::kKeras: return "keras";
  }
  fail("[names] unknown layout {}", static_cast<int>(layout));
}

std::optional<Layout> detect_layout(const std::vector<formats::NamedTensor>& tensors) {
  std::size_t nvlabs = 0;
  std::size_t timm = 0;
  std::size_t keras = 0;
  for (const formats::NamedTensor& tensor : tensors) {
    if (is_jax(dotted(tensor.name))) return Layout::kJax;
    if (has_any_prefix(tensor.name, {"patch_embed.", "levels."})) ++nvlabs;
    if (has_any_prefix(tensor.name, {"stem.", "stages."})) ++timm;
    if (is_keras_name(tensor.name)) ++keras;
  }
  if (keras > nvlabs && keras > timm) return Layout::kKeras;
  if (nvlabs == 0 && timm == 0) return std::nullopt;
  return timm > nvlabs ? Layout::kTimm : Layout::kNvlabs;
}

std::optional<std::string> canonical_name(Layout layout, std::string_view name) {
  auto translated = into_canonical(layout, name);
  if (!translated) return std::nullopt;
  return std::move(translated->name);
}

std::string layout_name(Layout layout, std::string_view canonical) {
  auto translated = from_canonical(layout, canonical);
  if (!translated) fail("[names] {} has no name for {}", name_of(layout), formats::in_quotes(canonical));
  return std::move(translated->name);
}

bool is_index_buffer(std::string_view name) {
  return name.ends_with(".relative_position_index") || has_any_prefix(name, {"rel_pos_ind/", "rel_pos_ind."});
}

void strip_wrapper_prefixes(std::vector<formats::NamedTensor>& tensors) {
  if (tensors.empty()) return;
  std::size_t begin = 0;  // of what is left of every name; cut off once, at the end
  const auto skip = [&](std::string_view prefix) {
    const bool all = std::ranges::all_of(tensors, [&](const formats::NamedTensor& tensor) {
      return std::string_view(tensor.name).substr(begin).starts_with(prefix);
    });
    if (all) begin += prefix.size();
    return all;
  };
  while (skip("module.") || skip("_orig_mod.") || skip("model.")) {
  }
  for (formats::NamedTensor& tensor : tensors) tensor.name.erase(0, begin);
}

Canonical to_canonical(Layout layout, std::vector<formats::NamedTensor> tensors) {
  if (layout == Layout::kKeras) return keras_to_canonical(std::move(tensors));
  Canonical canonical;
  for (formats::NamedTensor& entry : tensors) {
    if (is_index_buffer(entry.name)) continue;
    auto translated = into_canonical(layout, entry.name);
    if (!translated) {
      canonical.unexpected.push_back(std::move(entry.name));
      continue;
    }
    canonical.tensors.push_back(
        {std::move(translated->name), to_canonical_storage(std::move(entry.tensor), translated->storage)});
  }
  return canonical;
}

formats::NamedTensor to_layout(Layout layout, const formats::NamedTensor& canonical) {
  if (layout == Layout::kKeras) return to_keras(canonical);
  auto translated = from_canonical(layout, canonical.name);
  if (!translated) fail("[names] {} has no name for {}", name_of(layout), formats::in_quotes(canonical.name));
  return {std::move(translated->name), to_layout_storage(canonical.tensor, translated->storage)};
}

}  // namespace gcvit::weights
