// SPDX-License-Identifier: Apache-2.0
#include "weights/load.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <filesystem>
#include <map>

#include "model/initialise.h"
#include "model/tensor_table.h"
#include "base/counted.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/open_file.h"
#include "weights/change_image_size.h"
#include "formats/in_quotes.h"
#include "weights/keras_example_bias.h"
#include "weights/keras_layers.h"
#include "weights/keras_names.h"
#include "weights/names.h"
#include "formats/safetensors.h"
#include "formats/sharded_safetensors.h"
#include "weights/parameter_values.h"
#include "weights/quantise.h"
#include "weights/timm_config.h"
#include "weights/wrapped_models.h"

namespace gcvit::weights {
namespace {

namespace tensors = model::tensors;

constexpr std::size_t kNamesShown = 3;

/// Says in `info` that the bias tables are rewritten as the Keras example reads them.
void note_keras_example_bias(ModelInfo& info, const std::string& file) {
  if (!info.origin) info.origin = ModelOrigin{.format = info.source.format, .layout = info.source.layout, .sha256 = ""};
  if (info.origin->keras_example_bias) {
    fail("[weights] {}: the bias tables were rewritten as the Keras example reads them when the file was made", file);
  }
  info.origin->keras_example_bias = true;
  info.source.inferred.push_back("bias tables rewritten as the Keras example reads them, as asked");
}

/// Config, class names and all else that metadata or tensors tell.
/// `own_size`: the model's own image size, where something beside the tensors says it.
ModelInfo read_info(const formats::RawFile& raw, Layout layout, const std::vector<formats::NamedTensor>& tensors,
                    const std::string& file, const LoadOptions& options, std::optional<ImageSize> own_size) {
  ModelInfo info;
  if (layout == Layout::kCanonical) {
    info = parse_model_info(raw.metadata, file);
  } else {
    InferredConfig inferred = infer_config(tensors, file, {own_size ? own_size : options.image_size, options.classes});
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
  info.source.file = raw.file;
  info.source.inferred.insert(info.source.inferred.end(), raw.notes.begin(), raw.notes.end());
  return info;
}

/// The config.json that timm or Hugging Face's libraries wrote beside the file. Where the folder was named, what is wrong
/// with it is an error; else it may have nothing to do with the file, and is left alone with a notice.
std::optional<TimmConfig> timm_config_of(formats::RawFile& raw, Layout layout) {
  if (raw.config.empty() || (layout != Layout::kTimm && layout != Layout::kNvlabs)) return std::nullopt;
  try {
    std::optional<TimmConfig> config =
        parse_timm_config(read_regular_text(raw.config, "weights", kMaximalTimmConfig), raw.config);
    if (!config && raw.folder) {
      raw.notices.push_back(fmt::format("{}: is left alone: it names no \"architecture\", as timm's do", raw.config));
    }
    return config;
  } catch (const Error& error) {
    if (raw.folder) throw;
    raw.notices.push_back(fmt::format("{}: is left alone: {}", raw.config, formats::without_area(error.what())));
  }
  return std::nullopt;
}

/// True for the names under which the libraries write a model and its config.json together.
bool is_usual_name(const std::string& file) {
  const std::string name = std::filesystem::path(file).filename().string();
  return name == "model.safetensors" || name == "pytorch_model.bin" || name == formats::kShardIndexName;
}

/// What keeps a config.json from being this model's; empty when nothing does.
std::string mismatch_with(const TimmConfig& timm, const model::GCViTConfig& config) {
  if (timm.classes && *timm.classes != config.classes) {
    return fmt::format("num_classes: expected {} as the head has, found {}", config.classes, *timm.classes);
  }
  if (!timm.class_names.empty() && timm.class_names.size() != static_cast<std::size_t>(config.classes)) {
    if (timm.first_name) {
      return fmt::format("{}: expected names of the classes 0 to {} as the head has, found {} to {}", timm.names_key,
                         config.classes - 1, *timm.first_name, timm.class_names.size() - 1);
    }
    return fmt::format("{}: expected {} as the head has classes, found {}", timm.names_key,
                       counted(static_cast<std::uint64_t>(config.classes), "name"), timm.class_names.size());
  }
  return "";
}

/// Takes over what the config says of a model that was read off the tensors. False when it is another model's.
bool use_timm_config(ModelInfo& info, formats::RawFile& raw, TimmConfig timm, bool has_head) {
  if (!has_head) timm.classes.reset();
  const std::string mismatch = has_head ? mismatch_with(timm, info.config) : "";
  if (raw.folder && !mismatch.empty()) fail("[weights] {}: {}", raw.config, mismatch);
  if (!raw.folder && (!mismatch.empty() || (!is_usual_name(raw.file) && !fits(timm, info.config)))) {
    raw.notices.push_back(fmt::format("{}: is left alone, as it is about another model: {}", raw.config,
                                      mismatch.empty() ? formats::in_quotes(timm.architecture) : mismatch));
    return false;
  }
  if (timm.class_names.size() == static_cast<std::size_t>(info.config.classes)) info.classes = timm.class_names;
  info.preprocess_json = timm.preprocess_json;
  info.source.preprocess = raw.config;
  info.source.inferred.push_back(fmt::format("preprocessing{} from config.json, architecture {}",
                                             info.classes.empty() ? "" : " and class names", timm.architecture));
  const ImageSize own{info.config.image_height, info.config.image_width};
  if (timm.image_size && *timm.image_size != own) {
    raw.notices.push_back(fmt::format("{}: input_size is {}x{}, but the tensors are for {}x{} images, which are used",
                                      raw.config, timm.image_size->height, timm.image_size->width, own.height,
                                      own.width));
  }
  return true;
}

Layout layout_of(const formats::RawFile& raw, const std::string& file) {
  if (is_model_file(raw.metadata)) return Layout::kCanonical;
  if (raw.tensors.empty()) fail("[weights] {}: expected a GCViT's tensors, found none", file);
  const std::optional<Layout> layout = detect_layout(raw.tensors);
  if (!layout) {
    fail(
        "[weights] {}: expected a GCViT's tensors, as \"{}\" (NVlabs), \"{}\" (timm) or \"{}\" (Keras), found {}, as "
        "{}",
        file, tensors::kStemWeight, layout_name(Layout::kTimm, tensors::kStemWeight), keras_path(tensors::kStemWeight),
        counted(raw.tensors.size(), "other"), formats::in_quotes(raw.tensors.front().name));
  }
  return *layout;
}

/// Refuses a file without a head, naming what it has instead.
void check_head(const formats::RawFile& raw, Layout layout, const Canonical& canonical, std::vector<std::string> others,
                const std::string& file) {
  if (std::ranges::find(canonical.tensors, tensors::kHeadWeight, &formats::NamedTensor::name) !=
      canonical.tensors.end())
    return;
  for (const std::string& name : canonical.unexpected) others.push_back(raw.prefix + name);
  std::erase_if(others, [](const std::string& name) { return name.ends_with(".bias"); });
  std::string found;
  for (std::size_t i = 0; i < std::min(others.size(), kNamesShown); ++i) {
    found += (i > 0 ? ", " : "; beside the model's tensors found ") + formats::in_quotes(others[i]);
  }
  fail("[weights] {}: no {}, which tells the classes{}{}", file,
       formats::in_quotes(raw.prefix + layout_name(layout, tensors::kHeadWeight)), found,
       others.size() > kNamesShown ? ", ..." : "");
}

/// Canonical names, with the file's in errors.
Canonical canonical_of(Layout layout, formats::RawFile& raw, const std::string& file) {
  try {
    return to_canonical(layout, std::move(raw.tensors));
  } catch (const Error& error) {
    fail("[weights] {}: {}", file, formats::without_area(error.what()));
  }
}

/// What a person should know of how the weights were chosen.
std::vector<std::string> notices_of(const formats::RawFile& raw, const std::vector<std::string>& left_out,
                                    const std::string& file, const LoadOptions& options) {
  std::vector<std::string> notices = raw.notices;
  const auto other = std::ranges::find_if(raw.others, [&](const auto& one) { return one.averaged != raw.averaged; });
  if (!options.averaged && other != raw.others.end()) {
    notices.push_back(fmt::format("{}: holds raw weights ({}) and averaged ones ({}): the {} are used; {}", file,
                                  raw.averaged ? other->place : raw.place, raw.averaged ? raw.place : other->place,
                                  raw.averaged ? "averaged ones" : "raw ones",
                                  raw.averaged ? "--no-ema takes the raw ones" : "--ema takes the averaged ones"));
  }
  std::string same_kind;
  for (const formats::StoredWeights& one : raw.others) {
    if (one.averaged == raw.averaged) same_kind += (same_kind.empty() ? "" : ", ") + one.place;
  }
  if (!same_kind.empty()) {
    notices.push_back(
        fmt::format("{}: holds other {} weights ({}) beside those of {}, which are used; save the ones that "
                    "are meant by themselves",
                    file, raw.averaged ? "averaged" : "raw", same_kind, raw.place));
  }
  if (!options.averaged && !raw.averaged && !raw.nameless.empty()) {
    notices.push_back(
        fmt::format("{}: holds averaged weights without names ({}), which are not read, and the raw ones "
                    "are used; for the averaged ones {}",
                    file, raw.nameless, kNameThem));
  }
  const std::string names = describe_names(left_out, "no part of the model and left out");
  if (!names.empty()) notices.push_back(fmt::format("{}: {}", file, names));
  return notices;
}

/// Gives the config the head that the options ask for; whether it is another than the file's.
bool renew_head(ModelInfo& info, const LoadOptions& options) {
  if (!options.classes || *options.classes == info.config.classes) return false;
  info.config.classes = *options.classes;
  info.classes.clear();
  info.temperature.reset();
  return true;
}

/// Gives every parameter its values.
void take_values(LoadedModel& loaded, const std::string& file, const LoadOptions& options) {
  for (model::Parameter* parameter : loaded.model->parameters()) {
    if (options.keep_types) {
      ops::TypedValues typed = loaded.values->typed(*parameter);
      parameter->tensor = std::move(typed.values);
      parameter->scales = std::move(typed.scales);
    } else {
      parameter->tensor = loaded.values->of(*parameter);
    }
    ++parameter->version;
  }
  if (options.keep_types || loaded.report.quantised() == 0) return;
  loaded.info.quantisation_json.clear();
  loaded.report.notices.push_back(fmt::format("{}: {} restored to floats", file,
                                              loaded.report.quantised() == 1
                                                  ? "1 int8 weight is"
                                                  : fmt::format("{} int8 weights are", loaded.report.quantised())));
}

}  // namespace

LoadedModel load_model(const std::string& path, const LoadOptions& options) {
  formats::RawFile raw = formats::read_raw_file(path, read_options(options.averaged));
  const std::string file = raw.file;
  return load_model(std::move(raw), file, options);
}

LoadedModel load_model(formats::RawFile raw, const std::string& file, const LoadOptions& options) {
  std::vector<std::string> left_out = unwrap(raw, options.averaged, file);
  const Layout layout = layout_of(raw, file);
  if (options.averaged && layout == Layout::kCanonical) {
    fail(
        "[weights] {}: expected a checkpoint with raw and averaged (EMA) weights to choose from, found a model file "
        "with "
        "one set of them (a run's best.safetensors has the averaged ones where it keeps an average, last.safetensors "
        "never)",
        file);
  }
  if (options.averaged && *options.averaged != raw.averaged) fail_without(*options.averaged, raw, file);
  if (!options.keras_example_bias) {
    if (has_example_names(raw.tensors)) {
      raw.notes.emplace_back("named as by the Keras example: if tuned with its own code, needs --keras-example-bias");
    } else if (is_whole_keras3_model(raw.tensors)) {
      raw.notes.emplace_back(
          "a whole model: if it is the Keras example's, tuned with its own code, needs --keras-example-bias");
    }
  }
  Canonical canonical = canonical_of(layout, raw, file);
  const std::string layers = notice_of_other_layers(raw.groups, raw.keras_config, canonical.place);
  if (!layers.empty()) raw.notices.push_back(fmt::format("{}: {}", file, layers));

  if (layout != Layout::kCanonical && !options.classes) check_head(raw, layout, canonical, left_out, file);

  LoadedModel loaded;
  const std::optional<TimmConfig> timm = timm_config_of(raw, layout);
  const std::optional<ImageSize> own_size = timm ? timm->image_size : std::nullopt;
  loaded.info = read_info(raw, layout, canonical.tensors, file, options, own_size);
  const auto is_in_head = [](const formats::NamedTensor& entry) {
    return model::is_in(model::Part::kHead, entry.name);
  };
  if (timm && !use_timm_config(loaded.info, raw, *timm, std::ranges::any_of(canonical.tensors, is_in_head))) {
    loaded.info = read_info(raw, layout, canonical.tensors, file, options, std::nullopt);
  }
  const model::GCViTConfig stored = loaded.info.config;
  if (options.image_size) change_image_size(loaded.info, *options.image_size, options.window_mode, file);
  LoadReport& report = loaded.report;
  report.new_head = renew_head(loaded.info, options);
  loaded.model = std::make_unique<model::GCViT>(loaded.info.config);

  // First what there is, then the values: a file that doesn't fit is refused before anything is converted.
  TensorsByName by_name = tensors_by_name(canonical.tensors, file);
  const bool headless = !by_name.contains(tensors::kHeadWeight) && !by_name.contains(tensors::kHeadBias);
  if (options.classes && headless) report.new_head = true;
  const auto found = match_parameters(*loaded.model, stored, by_name, report);
  report.unexpected = std::move(left_out);
  report.unexpected.insert(report.unexpected.end(), canonical.unexpected.begin(), canonical.unexpected.end());
  for (const auto& [name, tensor] : by_name) report.unexpected.push_back(layout_name(layout, name));
  check_complete(report, file);
  report.notices = notices_of(raw, report.unexpected, file, options);

  if (!options.shapes_only) {
    check_memory(sizeof(float) * static_cast<double>(loaded.model->parameter_count()), options.max_memory,
                 fmt::format("{}: the model's parameters", file));
  }
  if (options.before_values) options.before_values(*loaded.model);
  if (options.keras_example_bias) note_keras_example_bias(loaded.info, file);
  // Pages go back only where values are taken one at a time: parameters that view the file would read them again.
  if (!options.values_later) raw.mappings.clear();
  loaded.values =
      std::make_unique<ParameterValues>(file,
                                        ParameterValues::Options{.stored = stored,
                                                                 .wanted = loaded.info.config,
                                                                 .keras_example_bias = options.keras_example_bias,
                                                                 .seed = options.seed},
                                        std::move(raw.mappings));
  for (const auto& [parameter, values] : found) loaded.values->add(*parameter, values);
  if (options.values_later) return loaded;
  if (options.shapes_only) {
    for (const auto& [parameter, values] : found) loaded.values->check(*parameter);
  } else {
    take_values(loaded, file, options);
  }
  loaded.values.reset();
  return loaded;
}

namespace {

/// The parameter's values, which it must have, rounded to `dtype`.
Tensor rounded(const model::Parameter& parameter, DType dtype, const std::string& path) {
  const Tensor values = ops::to_f32({parameter.tensor, parameter.scales});
  Tensor converted = values.to(dtype);
  const Tensor back = converted.to_f32();
  const std::size_t broken = first_not_finite(back.values());
  if (broken < back.values().size()) {
    fail("[weights] {}: tensor {}: element {}, {}, can't be written as {}", path, formats::in_quotes(parameter.name),
         broken, values.values()[broken], name_of(dtype));
  }
  return converted;
}

void check_has_values(const model::Parameter& parameter, const std::string& path) {
  if (parameter.tensor.empty()) fail("[weights] {}: {} has no values to write", path, parameter.name);
}

}  // namespace

std::vector<formats::NamedTensor> tensors_of(const model::GCViT& model, DType dtype, const std::string& path) {
  std::vector<formats::NamedTensor> tensors;
  for (const model::Parameter* parameter : model.parameters()) {
    check_has_values(*parameter, path);
    tensors.push_back({parameter->name, rounded(*parameter, dtype, path)});
  }
  return tensors;
}

void save_model(const std::string& path, const model::GCViT& model, const ModelInfo& info, DType dtype) {
  if (!info.classes.empty() && info.classes.size() != static_cast<std::size_t>(model.config().classes)) {
    fail("[weights] {}: expected {}, found {}", path,
         counted(static_cast<std::uint64_t>(model.config().classes), "class name"), info.classes.size());
  }
  ModelInfo written = info;
  written.config = model.config();
  int format = 1;
  std::vector<formats::NamedTensor> tensors;
  for (const model::Parameter* parameter : model.parameters()) {
    check_has_values(*parameter, path);
    if (parameter->tensor.dtype() == DType::kF32) {
      tensors.push_back({parameter->name, rounded(*parameter, dtype, path)});
      continue;
    }
    tensors.push_back({parameter->name, parameter->tensor});
    if (parameter->tensor.dtype() != DType::kI8) continue;
    format = kModelFormat;
    tensors.push_back({parameter->name + std::string(kScaleSuffix), parameter->scales});
  }
  if (format != kModelFormat) written.quantisation_json.clear();
  formats::write_safetensors(path, tensors, serialise_model_info(written, format));
}

}  // namespace gcvit::weights
