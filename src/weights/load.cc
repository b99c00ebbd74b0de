// SPDX-License-Identifier: Apache-2.0
#include "weights/load.h"

#include <algorithm>
#include <bit>
#include <map>

#include "model/initialise.h"
#include "tensor/error.h"
#include "tensor/memory.h"
#include "weights/change_image_size.h"
#include "weights/in_quotes.h"
#include "weights/keras_example_bias.h"
#include "weights/names.h"
#include "weights/safetensors.h"

namespace gcvit::weights {
namespace {

constexpr std::size_t kNamesShown = 3;

bool is_head(const std::string& name) { return name.starts_with("head."); }

/// "2 tensors are missing (a, b)", or nothing for an empty list.
template <typename Entry, typename Show>
void describe(std::string& sentence, const std::vector<Entry>& entries, std::string_view what, const Show& show) {
  if (entries.empty()) return;
  if (!sentence.empty()) sentence += "; ";
  sentence += fmt::format("{} {} {} (", entries.size(), entries.size() == 1 ? "tensor is" : "tensors are", what);
  for (std::size_t i = 0; i < std::min(entries.size(), kNamesShown); ++i) {
    if (i > 0) sentence += ", ";
    sentence += show(entries[i]);
  }
  sentence += entries.size() > kNamesShown ? ", ...)" : ")";
}

/// The error for a file whose tensors don't make up the model, `report` without what a new head excuses.
[[noreturn]] void fail_incomplete(const LoadReport& report, const std::string& file) {
  std::string sentence;
  const auto name = [](const std::string& text) { return in_quotes(text); };
  describe(sentence, report.missing, "missing", name);
  describe(sentence, report.mismatched, "of another shape", [](const Mismatch& mismatch) {
    return fmt::format("{}: expected {}, found {}", in_quotes(mismatch.name), to_string(mismatch.expected),
                       to_string(mismatch.found));
  });
  describe(sentence, report.unexpected, "unexpected", name);
  fail("[weights] {}: {}", file, sentence);
}

/// Index of the first element that is infinite or NaN; the size when all are finite.
std::size_t first_not_finite(std::span<const float> values) {
  constexpr std::uint32_t kExponent = 0x7f800000u;
  constexpr std::size_t kBlock = 1024;  // without a way out, so that the compiler makes vectors of it
  const auto is_finite = [](float value) { return (std::bit_cast<std::uint32_t>(value) & kExponent) != kExponent; };
  for (std::size_t begin = 0; begin < values.size(); begin += kBlock) {
    const std::span<const float> block = values.subspan(begin, std::min(kBlock, values.size() - begin));
    std::uint32_t broken = 0;
    for (const float value : block) broken |= is_finite(value) ? 0u : 1u;
    if (broken != 0)
      return begin + static_cast<std::size_t>(std::ranges::find_if_not(block, is_finite) - block.begin());
  }
  return values.size();
}

void fill(model::Parameter& parameter, const Tensor& tensor, const std::string& file) {
  switch (tensor.dtype()) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kF64: break;
    default:
      fail("[weights] {}: tensor {}: expected f32, f16, bf16 or f64, found {}", file, in_quotes(parameter.name),
           name_of(tensor.dtype()));
  }
  Tensor converted = tensor.to_f32();
  const std::span<const float> values = converted.values();
  const std::size_t broken = first_not_finite(values);
  if (broken < values.size()) {
    fail("[weights] {}: tensor {}: element {} is {}", file, in_quotes(parameter.name), broken, values[broken]);
  }
  parameter.tensor = std::move(converted);
  ++parameter.version;
}

/// kF16 or kBF16 when all tensors are that, else kF32.
DType narrow_dtype_of(const std::vector<std::pair<model::Parameter*, const Tensor*>>& found) {
  const DType first = found.empty() ? DType::kF32 : found.front().second->dtype();
  const bool all = std::ranges::all_of(found, [&](const auto& entry) { return entry.second->dtype() == first; });
  return all && (first == DType::kF16 || first == DType::kBF16) ? first : DType::kF32;
}

void rewrite_bias_tables(LoadedModel& loaded, const std::string& file) {
  ModelInfo& info = loaded.info;
  if (!info.origin) info.origin = ModelOrigin{.format = info.source.format, .layout = info.source.layout, .sha256 = ""};
  if (info.origin->keras_example_bias) {
    fail("[weights] {}: the bias tables were rewritten as the Keras example reads them when the file was made", file);
  }
  info.origin->keras_example_bias = true;
  info.source.inferred.push_back("bias tables rewritten as the Keras example reads them, as asked");
  for (model::Parameter* parameter : loaded.model->parameters()) {
    if (parameter->role != ops::Role::kBiasTable) continue;
    parameter->tensor = keras_example_bias_table(parameter->tensor);
    ++parameter->version;
  }
}

/// Whether a Keras file's class names are the example's; others call the stem, for one, otherwise.
bool has_keras_example_names(const std::vector<NamedTensor>& tensors) {
  return std::ranges::any_of(tensors,
                             [](const NamedTensor& entry) { return entry.name.starts_with("layers/patch_embed/"); });
}

/// Config, class names and all else that metadata or tensors tell.
ModelInfo read_info(const RawFile& raw, Layout layout, const std::vector<NamedTensor>& tensors, const std::string& file,
                    const LoadOptions& options) {
  ModelInfo info;
  if (layout == Layout::kCanonical) {
    info = parse_model_info(raw.metadata, file);
  } else {
    InferredConfig inferred = infer_config(tensors, file, {options.image_size, options.classes});
    info.config = inferred.config;
    info.source.inferred = std::move(inferred.reasons);
    if (layout == Layout::kKeras) {
      info.config.pool_padding = ops::PoolPadding::kZero;
      info.source.inferred.emplace_back("pools padded with zeros, as Keras' code does");
      info.config.head_activation = model::HeadActivation::kSoftmax;
      info.source.inferred.emplace_back("softmax inside the head, as Keras' code has it: left out, logits are logits");
    }
  }
  info.source.format = raw.format;
  info.source.layout = name_of(layout);
  info.source.inferred.insert(info.source.inferred.end(), raw.notes.begin(), raw.notes.end());
  return info;
}

Layout layout_of(const RawFile& raw, const std::string& file) {
  if (is_model_file(raw.metadata)) return Layout::kCanonical;
  if (raw.tensors.empty()) fail("[weights] {}: expected a GCViT's tensors, found none", file);
  const std::optional<Layout> layout = detect_layout(raw.tensors);
  if (!layout) {
    fail(
        "[weights] {}: expected a GCViT's tensors, as \"patch_embed.proj.weight\" (NVlabs), \"stem.conv1.weight\" "
        "(timm) "
        "or \"layers/patch_embed/proj/vars/0\" (Keras), found {} others, as {}",
        file, raw.tensors.size(), in_quotes(raw.tensors.front().name));
  }
  return *layout;
}

}  // namespace

LoadedModel load_model(const std::string& path, const LoadOptions& options) {
  return load_model(read_raw_file(path), path, options);
}

LoadedModel load_model(RawFile raw, const std::string& file, const LoadOptions& options) {
  strip_wrapper_prefixes(raw.tensors);
  const Layout layout = layout_of(raw, file);
  if (has_keras_example_names(raw.tensors) && !options.keras_example_bias) {
    raw.notes.emplace_back("named as by the Keras example: if tuned with its own code, needs --keras-example-bias");
  }
  Canonical canonical = to_canonical(layout, std::move(raw.tensors));

  LoadedModel loaded;
  loaded.info = read_info(raw, layout, canonical.tensors, file, options);
  const model::GCViTConfig stored = loaded.info.config;
  if (options.image_size) change_image_size(loaded.info, *options.image_size, options.window_mode, file);
  model::GCViTConfig& config = loaded.info.config;
  if (options.classes && *options.classes != config.classes) {
    config.classes = *options.classes;
    loaded.info.classes.clear();
    loaded.info.temperature.reset();
    loaded.report.new_head = true;
  }
  loaded.model = std::make_unique<model::GCViT>(config);

  std::map<std::string_view, const Tensor*> by_name;
  for (const NamedTensor& entry : canonical.tensors) {
    if (!by_name.emplace(entry.name, &entry.tensor).second) {
      fail("[weights] {}: two tensors are {}", file, in_quotes(entry.name));
    }
  }
  const bool headless = !by_name.contains("head.weight") && !by_name.contains("head.bias");
  if (options.classes && headless) loaded.report.new_head = true;

  // First what there is, then the values: a file that doesn't fit is refused before anything is converted.
  LoadReport& report = loaded.report;
  LoadReport fatal;
  std::vector<std::pair<model::Parameter*, const Tensor*>> found;
  for (model::Parameter* parameter : loaded.model->parameters()) {
    const bool excused = report.new_head && is_head(parameter->name);
    const auto entry = by_name.find(parameter->name);
    if (entry == by_name.end()) {
      report.missing.push_back(parameter->name);
      if (!excused) fatal.missing.push_back(parameter->name);
      continue;
    }
    const Tensor& tensor = *entry->second;
    by_name.erase(entry);
    const Dims expected = dims_in_file(*parameter, stored);
    if (tensor.dims() != expected) {
      report.mismatched.push_back({parameter->name, expected, tensor.dims()});
      if (!excused) fatal.mismatched.push_back(report.mismatched.back());
    } else if (!excused) {
      found.emplace_back(parameter, &tensor);
    }
  }
  report.unexpected = std::move(canonical.unexpected);
  for (const auto& [name, tensor] : by_name) report.unexpected.push_back(layout_name(layout, name));
  if (!fatal.missing.empty() || !fatal.mismatched.empty()) {
    fatal.unexpected = report.unexpected;
    fail_incomplete(fatal, file);
  }

  if (!options.shapes_only) {
    check_memory(sizeof(float) * static_cast<double>(loaded.model->parameter_count()), options.max_memory,
                 fmt::format("{}: the model's parameters", file));
  }
  if (options.before_values) options.before_values(*loaded.model);
  for (const auto& [parameter, tensor] : found) fill(*parameter, *tensor, file);
  report.dtype = narrow_dtype_of(found);
  // As the weights were tuned, and then to the windows they get.
  if (options.keras_example_bias) rewrite_bias_tables(loaded, file);
  if (options.shapes_only) return loaded;
  resize_bias_tables(*loaded.model, stored);
  if (report.new_head) {
    for (model::Parameter* parameter : loaded.model->parameters()) {
      if (is_head(parameter->name)) model::initialise(*parameter, options.seed);
    }
  }
  return loaded;
}

std::vector<NamedTensor> tensors_of(const model::GCViT& model, DType dtype, const std::string& path) {
  std::vector<NamedTensor> tensors;
  for (const model::Parameter* parameter : model.parameters()) {
    if (parameter->tensor.empty()) fail("[weights] {}: {} has no values to write", path, parameter->name);
    Tensor converted = parameter->tensor.to(dtype);
    const Tensor back = converted.to_f32();
    const std::size_t broken = first_not_finite(back.values());
    if (broken < back.values().size()) {
      fail("[weights] {}: tensor {}: element {}, {}, can't be written as {}", path, in_quotes(parameter->name), broken,
           parameter->tensor.values()[broken], name_of(dtype));
    }
    tensors.push_back({parameter->name, std::move(converted)});
  }
  return tensors;
}

void save_model(const std::string& path, const model::GCViT& model, const ModelInfo& info, DType dtype) {
  if (!info.classes.empty() && info.classes.size() != static_cast<std::size_t>(model.config().classes)) {
    fail("[weights] {}: expected {} class names, found {}", path, model.config().classes, info.classes.size());
  }
  const std::vector<NamedTensor> tensors = tensors_of(model, dtype, path);
  ModelInfo written = info;
  written.config = model.config();
  write_safetensors(path, tensors, serialise_model_info(written));
}

}  // namespace gcvit::weights
