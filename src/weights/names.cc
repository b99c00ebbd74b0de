// SPDX-License-Identifier: Apache-2.0
#include "weights/names.h"

#include <algorithm>
#include <array>
#include <span>

#include "tensor/error.h"
#include "weights/in_quotes.h"

namespace gcvit::weights {
namespace {

/// What a layout and the canonical names have for the same tensors. `#` is a number, `*` the rest of the name. The
/// numbers stand in the same order on both sides, the layout's larger by `shift`.
struct Rule {
  std::string_view canonical;
  std::string_view other;
  std::array<int, 2> shift{0, 0};
  /// The layout stores this [out, in] matrix as a 1x1 convolution, [out, in, 1, 1].
  bool as_convolution = false;
};

// timm's state_dict. The first rule that fits is the one, so the general ones stand last.
constexpr Rule kTimmRules[] = {
    {"patch_embed.proj.*", "stem.conv1.*"},
    {"patch_embed.conv_down.conv.0.*", "stem.down.conv_block.conv_dw.*"},
    {"patch_embed.conv_down.conv.2.fc.0.*", "stem.down.conv_block.se.fc1.*", {}, true},
    {"patch_embed.conv_down.conv.2.fc.2.*", "stem.down.conv_block.se.fc2.*", {}, true},
    {"patch_embed.conv_down.conv.3.*", "stem.down.conv_block.conv_pw.*"},
    {"patch_embed.conv_down.*", "stem.down.*"},
    // The downsample that ends a level of ours starts timm's next stage.
    {"levels.#.downsample.conv.0.*", "stages.#.downsample.conv_block.conv_dw.*", {1}},
    {"levels.#.downsample.conv.2.fc.0.*", "stages.#.downsample.conv_block.se.fc1.*", {1}, true},
    {"levels.#.downsample.conv.2.fc.2.*", "stages.#.downsample.conv_block.se.fc2.*", {1}, true},
    {"levels.#.downsample.conv.3.*", "stages.#.downsample.conv_block.conv_pw.*", {1}},
    {"levels.#.downsample.*", "stages.#.downsample.*", {1}},
    {"levels.#.q_global_gen.to_q_global.#.conv.0.*", "stages.#.global_block.blocks.conv#.conv_dw.*", {0, 1}},
    {"levels.#.q_global_gen.to_q_global.#.conv.2.fc.0.*", "stages.#.global_block.blocks.conv#.se.fc1.*", {0, 1}, true},
    {"levels.#.q_global_gen.to_q_global.#.conv.2.fc.2.*", "stages.#.global_block.blocks.conv#.se.fc2.*", {0, 1}, true},
    {"levels.#.q_global_gen.to_q_global.#.conv.3.*", "stages.#.global_block.blocks.conv#.conv_pw.*", {0, 1}},
    {"levels.#.blocks.#.attn.relative_position_bias_table",
     "stages.#.blocks.#.attn.rel_pos.relative_position_bias_table"},
    {"levels.#.blocks.#.gamma1", "stages.#.blocks.#.ls1.gamma"},
    {"levels.#.blocks.#.gamma2", "stages.#.blocks.#.ls2.gamma"},
    {"levels.#.blocks.#.*", "stages.#.blocks.#.*"},
    {"norm.*", "stages.3.norm.*"},
    {"head.*", "head.fc.*"},
};

/// The rules between a layout and the canonical names; none where the names are the same.
std::span<const Rule> rules_of(Layout layout) {
  if (layout == Layout::kTimm) return kTimmRules;
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

struct Translated {
  std::string name;
  bool as_convolution;
};

std::optional<Translated> from_canonical(Layout layout, std::string_view canonical) {
  const std::span<const Rule> rules = rules_of(layout);
  if (rules.empty()) return Translated{std::string(canonical), false};
  for (const Rule& rule : rules) {
    if (const auto found = match(rule.canonical, canonical)) {
      auto name = fill(rule.other, *found, rule, +1);
      if (!name) return std::nullopt;
      return Translated{std::move(*name), rule.as_convolution};
    }
  }
  return std::nullopt;
}

std::optional<Translated> into_canonical(Layout layout, std::string_view name) {
  const std::span<const Rule> rules = rules_of(layout);
  if (rules.empty()) return Translated{std::string(name), false};
  for (const Rule& rule : rules) {
    const auto found = match(rule.other, name);
    if (!found) continue;
    auto canonical = fill(rule.canonical, *found, rule, -1);
    // A name that only a general rule lets through, as stages.0.blocks.0.gamma1 with timm, is none of the layout's:
    // two names would mean one tensor.
    if (!canonical || from_canonical(layout, *canonical)->name != name) return std::nullopt;
    return Translated{std::move(*canonical), rule.as_convolution};
  }
  return std::nullopt;
}

bool has_any_prefix(std::string_view name, std::initializer_list<std::string_view> prefixes) {
  return std::ranges::any_of(prefixes, [&](std::string_view prefix) { return name.starts_with(prefix); });
}

}  // namespace

std::string_view name_of(Layout layout) {
  switch (layout) {
    case Layout::kCanonical: return "canonical";
    case Layout::kNvlabs: return "nvlabs";
    case Layout::kTimm: return "timm";
  }
  fail("[names] unknown layout {}", static_cast<int>(layout));
}

std::optional<Layout> detect_layout(const std::vector<NamedTensor>& tensors) {
  std::size_t nvlabs = 0;
  std::size_t timm = 0;
  for (const NamedTensor& tensor : tensors) {
    if (has_any_prefix(tensor.name, {"patch_embed.", "levels."})) ++nvlabs;
    if (has_any_prefix(tensor.name, {"stem.", "stages."})) ++timm;
  }
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
  if (!translated) fail("[names] {} has no name for {}", name_of(layout), in_quotes(canonical));
  return std::move(translated->name);
}

bool is_index_buffer(std::string_view name) { return name.ends_with(".relative_position_index"); }

void strip_wrapper_prefixes(std::vector<NamedTensor>& tensors) {
  const auto strip = [&](std::string_view prefix) {
    const bool all = !tensors.empty() && std::ranges::all_of(tensors, [&](const NamedTensor& tensor) {
      return tensor.name.starts_with(prefix);
    });
    if (all) {
      for (NamedTensor& tensor : tensors) tensor.name.erase(0, prefix.size());
    }
    return all;
  };
  while (strip("module.") || strip("_orig_mod.") || strip("model.")) {
  }
}

Canonical to_canonical(Layout layout, std::vector<NamedTensor> tensors) {
  Canonical canonical;
  for (NamedTensor& entry : tensors) {
    if (is_index_buffer(entry.name)) continue;
    auto translated = into_canonical(layout, entry.name);
    if (!translated) {
      canonical.unexpected.push_back(std::move(entry.name));
      continue;
    }
    const Dims& dims = entry.tensor.dims();
    if (translated->as_convolution && dims.size() == 4 && dims[2] == 1 && dims[3] == 1) {
      entry.tensor = entry.tensor.reshaped({dims[0], dims[1]});
    }
    canonical.tensors.push_back({std::move(translated->name), std::move(entry.tensor)});
  }
  return canonical;
}

NamedTensor to_layout(Layout layout, const NamedTensor& canonical) {
  auto translated = from_canonical(layout, canonical.name);
  if (!translated) fail("[names] {} has no name for {}", name_of(layout), in_quotes(canonical.name));
  Tensor tensor = canonical.tensor;
  if (translated->as_convolution && tensor.dims().size() == 2) {
    tensor = tensor.reshaped({tensor.dims()[0], tensor.dims()[1], 1, 1});
  }
  return {std::move(translated->name), std::move(tensor)};
}

}  // namespace gcvit::weights
