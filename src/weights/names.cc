// SPDX-License-Identifier: Apache-2.0
#include "weights/names.h"

#include <algorithm>
#include <initializer_list>

#include "base/error.h"
#include "model/tensor_table.h"
#include "formats/in_quotes.h"
#include "weights/keras_names.h"
#include "formats/permute.h"

namespace gcvit::weights {
namespace {

using Column = std::string_view model::TensorRow::*;

/// Where the table has the layout's names; nullptr where they are the canonical ones.
Column column_of(Layout layout) {
  switch (layout) {
    case Layout::kTimm: return &model::TensorRow::timm;
    case Layout::kJax: return &model::TensorRow::flaim;
    default: return nullptr;
  }
}

/// How a layout stores a tensor.
enum class Storage : std::uint8_t {
  kSame,
  kConvolution,  ///< our [out, in] matrix as a 1x1 convolution, [out, in, 1, 1]
  kKernel,       ///< [..., in, out]: a matrix transposed, a convolution [kh, kw, in, out]
};

Storage storage_of(Layout layout, const model::TensorRow& row) {
  if (layout == Layout::kTimm && row.matrix_is_convolution_in_timm) return Storage::kConvolution;
  return layout == Layout::kJax && model::is_weight(row.role) ? Storage::kKernel : Storage::kSame;
}

struct Translated {
  std::string name;
  Storage storage;
};

std::optional<Translated> from_canonical(Layout layout, std::string_view canonical) {
  if (layout == Layout::kKeras) return Translated{keras_path(canonical), Storage::kSame};
  const Column column = column_of(layout);
  if (column == nullptr) return Translated{std::string(canonical), Storage::kSame};
  const auto place = model::find_tensor(canonical);
  if (!place) return std::nullopt;
  return Translated{model::tensor_name(*place, column), storage_of(layout, *place->row)};
}

std::optional<Translated> by_table(Layout layout, std::string_view name) {
  const Column column = column_of(layout);
  if (column == nullptr) return Translated{std::string(name), Storage::kSame};
  const auto place = model::find_tensor(name, column);
  if (!place) return std::nullopt;
  return Translated{model::tensor_name(*place), storage_of(layout, *place->row)};
}

bool has_any_prefix(std::string_view name, std::initializer_list<std::string_view> prefixes) {
  return std::ranges::any_of(prefixes, [&](std::string_view prefix) { return name.starts_with(prefix); });
}

/// ".relative_position_index"
constexpr std::string_view kIndexLeaf = model::tensors::kIndexBuffer.substr(model::tensors::kIndexBuffer.rfind('.'));

constexpr std::initializer_list<model::Part> kBody = {model::Part::kStem, model::Part::kBlock};

bool is_canonical(std::string_view name) {
  return model::shares_root(name, &model::TensorRow::name,
                            {model::Part::kStem, model::Part::kBlock, model::Part::kNorm, model::Part::kHead});
}

/// A pytree's path with dots between its keys, whatever stood there, and without the collection it is in.
std::string dotted(std::string_view path) {
  std::string name(path);
  std::ranges::replace(name, '/', '.');
  if (name.starts_with("params.")) name.erase(0, 7);
  return name;
}

bool is_jax(std::string_view name) {
  return model::shares_root(name, &model::TensorRow::flaim, kBody) || (is_canonical(name) && name.ends_with(".kernel"));
}

std::optional<Translated> from_jax(std::string_view path) {
  const std::string name = dotted(path);
  if (!is_canonical(name)) return by_table(Layout::kJax, name);
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
  return layout == Layout::kJax ? from_jax(name) : by_table(layout, name);
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
    if (model::shares_root(tensor.name, &model::TensorRow::name, kBody)) ++nvlabs;
    if (model::shares_root(tensor.name, &model::TensorRow::timm, kBody)) ++timm;
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
  return name.ends_with(kIndexLeaf) || has_any_prefix(name, {"rel_pos_ind/", "rel_pos_ind."});
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
