// SPDX-License-Identifier: Apache-2.0
#include "weights/convert.h"

#include <system_error>
#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/build_options.h"
#include "digest/sha256.h"
#include "model/tensor_table.h"
#include "weights/keras_file.h"
#include "formats/safetensors.h"
#include "formats/torch_writer.h"

namespace gcvit::weights {
namespace {

/// How often the query generators of NVlabs' and Keras' code halve their maps, whatever the size of the image.
constexpr std::array<std::int32_t, model::kLevels> kFixedReductions{3, 2, 0, 0};

std::string_view project_of(Layout layout, const ConvertOptions& options = {}) {
  if (layout == Layout::kKeras && options.keras_flavour == KerasFlavour::kGcvitTf) return "gcvit-tf";
  switch (layout) {
    case Layout::kNvlabs: return "NVlabs' code";
    case Layout::kTimm: return "timm";
    case Layout::kKeras: return "Keras' code";
    default: return "this program";
  }
}

std::string_view name_of(FileFormat format) {
  switch (format) {
    case FileFormat::kSafetensors: return ".safetensors";
    case FileFormat::kPyTorch: return "PyTorch";
    case FileFormat::kKeras: return ".weights.h5";
  }
  return "";
}

/// As `gcvit convert --layout` calls it.
std::string_view name_of(Layout layout, const ConvertOptions& options) {
  return project_of(layout, options) == "gcvit-tf" ? "gcvit-tf" : weights::name_of(layout);
}

bool go_together(FileFormat format, Layout layout) {
  switch (layout) {
    case Layout::kCanonical: return format == FileFormat::kSafetensors;
    case Layout::kNvlabs:
    case Layout::kTimm: return format != FileFormat::kKeras;
    case Layout::kKeras: return format != FileFormat::kPyTorch;
    default: return false;
  }
}

/// Why the layout's own code can't have such a model; empty when it can.
std::string why_not(Layout layout, const ModelInfo& info) {
  const model::GCViTConfig& config = info.config;
  if (layout == Layout::kCanonical) return "";
  model::GCViTConfig theirs = config;
  theirs.squeeze_divisor = layout == Layout::kTimm ? 8 : 1;
  for (int level = 0; level < model::kLevels; ++level) {
    const std::int32_t channels = config.channels(level);
    const std::int32_t ours = config.squeezed_channels(channels);
    if (ours != theirs.squeezed_channels(channels)) {
      return fmt::format("it narrows {} channels to {} in squeeze-and-excitation, this model to {}", channels,
                         theirs.squeezed_channels(channels), ours);
    }
  }
  if (layout == Layout::kTimm) return "";
  for (std::size_t l = 0; l < model::kLevels; ++l) {
    const ops::Window& window = config.windows[l];
    if (window.height != window.width) {
      return fmt::format("its windows are square, level{}'s are {}x{}", l + 1, window.height, window.width);
    }
    const std::int32_t reductions = config.query_reductions(static_cast<int>(l));
    if (reductions != kFixedReductions[l]) {
      return fmt::format("it halves level{}'s map {} times to reach the window, this model {} times", l + 1,
                         kFixedReductions[l], reductions);
    }
  }
  if (layout == Layout::kKeras && info.origin && info.origin->keras_example_bias) {
    return "its bias tables were rewritten as the Keras example reads them (--keras-example-bias): the example would "
           "read them so once more, and with axis=0 in its gather they are not what was trained";
  }
  return "";
}

std::vector<std::string> left_behind_by(Layout layout, const ModelInfo& info, const ConvertOptions& options) {
  std::vector<std::string> sentences;
  if (layout == Layout::kCanonical) return sentences;
  if (!info.classes.empty()) sentences.push_back("the class names were not written: this layout has no field for them");
  if (!info.preprocess_json.empty()) {
    sentences.push_back("the preprocessing was not written: this layout has no field for it");
  }
  if (info.temperature) sentences.push_back("the fitted temperature was not written: this layout has no field for it");
  const bool zero = info.config.pool_padding == ops::PoolPadding::kZero;
  if (zero != (layout == Layout::kKeras)) {
    sentences.push_back(fmt::format("{} pads its max pools with {}, this model with {}: answers will differ a little",
                                    project_of(layout, options), zero ? "minus infinity" : "zeros",
                                    zero ? "zeros" : "minus infinity"));
  }
  return sentences;
}

/// The types in which `save_model` writes the parameters, in the order in which they come up.
std::vector<DType> written_dtypes(const model::GCViT& model, DType dtype) {
  std::vector<DType> dtypes;
  for (const model::Parameter* parameter : model.parameters()) {
    const DType own = parameter->tensor.dtype() == DType::kF32 ? dtype : parameter->tensor.dtype();
    if (std::ranges::find(dtypes, own) == dtypes.end()) dtypes.push_back(own);
  }
  return dtypes;
}

/// NVlabs' buffer: for each pair of a window's tokens the row of the bias table, [tokens, tokens] i64.
Tensor relative_position_index(const ops::Window& window) {
  const std::int64_t tokens = window.tokens();
  const auto rows = std::make_shared<std::vector<std::int64_t>>();
  rows->reserve(static_cast<std::size_t>(tokens * tokens));
  for (std::int64_t query = 0; query < tokens; ++query) {
    for (std::int64_t key = 0; key < tokens; ++key) {
      const std::int64_t dy = query / window.width - key / window.width + window.height - 1;
      const std::int64_t dx = query % window.width - key % window.width + window.width - 1;
      rows->push_back(dy * (2 * window.width - 1) + dx);
    }
  }
  return {DType::kI64, {tokens, tokens}, rows, std::as_bytes(std::span(*rows))};
}

/// One a block, as a state_dict has them.
void add_index_buffers(std::vector<formats::NamedTensor>& tensors, const model::GCViTConfig& config) {
  for (std::size_t l = 0; l < model::kLevels; ++l) {
    const Tensor index = relative_position_index(config.windows[l]);
    for (std::int32_t block = 0; block < config.depths[l]; ++block) {
      tensors.push_back({model::index_buffer_name(static_cast<std::int32_t>(l), block), index});
    }
  }
}

}  // namespace

FileFormat format_of(const std::string& path) {
  const auto ends_with_any = [&](std::initializer_list<std::string_view> endings) {
    return std::ranges::any_of(endings, [&](std::string_view ending) { return path.ends_with(ending); });
  };
  if (path.ends_with(".safetensors")) return FileFormat::kSafetensors;
  if (ends_with_any({".pth", ".pt", ".bin", ".pth.tar"})) return FileFormat::kPyTorch;
  if (path.ends_with(".weights.h5")) return FileFormat::kKeras;
  fail(ErrorCode::kInvalidArgument,
       "[convert] {}: expected a name that ends in .safetensors, .pth, .pt, .bin, .pth.tar or .weights.h5", path);
}

Layout default_layout(FileFormat format) {
  switch (format) {
    case FileFormat::kSafetensors: return Layout::kCanonical;
    case FileFormat::kPyTorch: return Layout::kNvlabs;
    case FileFormat::kKeras: return Layout::kKeras;
  }
  fail("[convert] unknown format {}", static_cast<int>(format));
}

void record_origin(ModelInfo& info, const std::string& file) {
  if (info.source.layout == name_of(Layout::kCanonical)) return;
  if (!info.origin) info.origin.emplace(ModelOrigin{info.source.format, info.source.layout, "", false});
  std::error_code error;
  const std::string& read = info.source.file.empty() ? file : info.source.file;
  if (std::filesystem::is_regular_file(read, error)) info.origin->sha256 = sha256_of_file(read);
}

ConvertReport convert(const LoadedModel& loaded, const std::string& path, const ConvertOptions& options) {
  const FileFormat format = format_of(path);
  const Layout layout = options.layout.value_or(default_layout(format));
  const DType dtype = layout == Layout::kKeras ? DType::kF32 : options.dtype.value_or(loaded.report.dtype);
  ConvertReport report{layout, {dtype}, {}};
  if (!go_together(format, layout)) {
    fail(ErrorCode::kInvalidArgument,
         "[convert] {}: the {} layout isn't kept in {} files: canonical is .safetensors, timm and nvlabs are "
         ".safetensors or .pth, keras and gcvit-tf are .weights.h5 or .safetensors",
         path, name_of(layout, options), name_of(format));
  }
  if (options.dtype && *options.dtype != dtype) {
    fail(ErrorCode::kInvalidArgument, "[convert] {}: the {} layout is written in f32, asked for {}", path,
         name_of(layout, options), gcvit::name_of(*options.dtype));
  }
  const std::string reason = why_not(layout, loaded.info);
  if (!reason.empty())
    fail(ErrorCode::kUnsupported, "[convert] {}: {} has no such model: {}", path, project_of(layout, options), reason);
  report.left_behind = left_behind_by(layout, loaded.info, options);

  if (layout == Layout::kCanonical) {
    save_model(path, *loaded.model, loaded.info, dtype);
    report.dtypes = written_dtypes(*loaded.model, dtype);
    return report;
  }
  std::vector<formats::NamedTensor> tensors = tensors_of(*loaded.model, dtype, path);
  if (layout == Layout::kKeras && format == FileFormat::kSafetensors) {
    for (formats::NamedTensor& tensor : tensors) {
      std::string name = keras_path(tensor.name, options.keras_flavour);
      tensor = {std::move(name), to_keras(tensor, options.keras_flavour).tensor};
    }
    formats::write_safetensors(path, tensors, {});
    return report;
  }
  if (layout == Layout::kKeras) {
    if constexpr (kWithKerasWriter) {
      write_keras(path, tensors, options.keras_flavour);
      return report;
    }
    fail(ErrorCode::kUnsupported, "[convert] {}: this build writes no Keras files (GCVIT_KERAS_WRITER=OFF)", path);
  }
  for (formats::NamedTensor& tensor : tensors) tensor = to_layout(layout, tensor);
  if (layout == Layout::kNvlabs) add_index_buffers(tensors, loaded.info.config);
  if (format == FileFormat::kPyTorch) {
    formats::write_torch(path, tensors);
  } else {
    formats::write_safetensors(path, tensors, {{"format", "pt"}});
  }
  return report;
}

}  // namespace gcvit::weights
