// SPDX-License-Identifier: Apache-2.0
#include "cli/load_lines.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <new>
#include <nlohmann/json.hpp>

#include "base/printable.h"
#include "cli/output.h"
#include "terminal/tell.h"

namespace gcvit::cli {
namespace {

/// Side of the image by side of a level's window in timm, unless told otherwise.
constexpr std::array<std::int32_t, model::kLevels> kTimmRatios{32, 32, 16, 32};
constexpr std::int32_t kTimmImage = 224;

struct Registered {
  const char* name;
  std::array<std::int32_t, model::kLevels> depths;
  std::array<std::int32_t, model::kLevels> heads;
  std::int32_t dim;
  double mlp_ratio;
  bool layer_scale;
  bool fixed;  ///< the last three can't be overridden
};
constexpr std::array kRegistered = {
    Registered{"gcvit_xxtiny", {2, 2, 6, 2}, {2, 4, 8, 16}, 64, 3.0, false, false},
    Registered{"gcvit_xtiny", {3, 4, 6, 5}, {2, 4, 8, 16}, 64, 3.0, false, false},
    Registered{"gcvit_tiny", {3, 4, 19, 5}, {2, 4, 8, 16}, 64, 3.0, false, false},
    Registered{"gcvit_small", {3, 4, 19, 5}, {3, 6, 12, 24}, 96, 2.0, true, true},
    Registered{"gcvit_base", {3, 4, 19, 5}, {4, 8, 16, 32}, 128, 2.0, true, true},
};

std::string list_of(const std::array<std::int32_t, model::kLevels>& values) {
  return fmt::format("[{}]", fmt::join(values, ", "));
}

/// Python's spelling of a text.
std::string in_python(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string windows_of(const model::GCViTConfig& config) {
  std::vector<std::string> windows;
  for (const ops::Window& window : config.windows) {
    windows.push_back(window.height == window.width ? fmt::format("{}", window.height)
                                                    : fmt::format("[{}, {}]", window.height, window.width));
  }
  return fmt::format("[{}]", fmt::join(windows, ", "));
}

bool has_timms_windows(const model::GCViTConfig& config) {
  for (std::size_t l = 0; l < model::kLevels; ++l) {
    if (config.windows[l].height != config.image_height / kTimmRatios[l]) return false;
    if (config.windows[l].width != config.image_width / kTimmRatios[l]) return false;
  }
  return true;
}

using Arguments = std::vector<std::pair<std::string, std::string>>;

void add_image_and_windows(const model::GCViTConfig& config, Arguments& arguments) {
  if (config.image_height != kTimmImage || config.image_width != kTimmImage) {
    arguments.emplace_back("img_size", fmt::format("[{}, {}]", config.image_height, config.image_width));
  }
  if (!has_timms_windows(config)) arguments.emplace_back("window_size", windows_of(config));
}

std::string joined(const Arguments& arguments) {
  std::string text;
  for (const auto& [name, value] : arguments) text += fmt::format("{}{}={}", text.empty() ? "" : ", ", name, value);
  return text;
}

/// What the constructors of all projects must be told, but for the names of the width and the image size.
Arguments architecture_of(const model::GCViTConfig& config, const std::string& dim) {
  return {{dim, fmt::format("{}", config.dim)},
          {"depths", list_of(config.depths)},
          {"num_heads", list_of(config.heads)},
          {"window_size", windows_of(config)},
          {"mlp_ratio", fmt::format("{}", config.mlp_ratio)},
          {"layer_scale", config.layer_scale ? "1e-5" : "None"},
          {"num_classes", fmt::format("{}", config.classes)}};
}

Lines load_state_dict(const std::string& file) {
  if (file.ends_with(".safetensors")) {
    return {"from safetensors.torch import load_file",
            fmt::format("model.load_state_dict(load_file({}))", in_python(file))};
  }
  return {"import torch", fmt::format("model.load_state_dict(torch.load({}, weights_only=True))", in_python(file))};
}

}  // namespace

std::optional<TimmModel> timm_model(const model::GCViTConfig& config) {
  for (const Registered& one : kRegistered) {
    if (one.depths != config.depths || one.heads != config.heads) continue;
    Arguments arguments;
    add_image_and_windows(config, arguments);
    if (one.dim != config.dim) arguments.emplace_back("embed_dim", fmt::format("{}", config.dim));
    if (one.mlp_ratio != config.mlp_ratio) arguments.emplace_back("mlp_ratio", fmt::format("{}", config.mlp_ratio));
    if (one.layer_scale != config.layer_scale) arguments.emplace_back("layer_scale", "1e-5");
    const bool differs =
        one.dim != config.dim || one.mlp_ratio != config.mlp_ratio || one.layer_scale != config.layer_scale;
    if (differs && one.fixed) continue;
    return TimmModel{one.name, std::move(arguments)};
  }
  return std::nullopt;
}

Lines lines_for_timm(const model::GCViTConfig& config, const std::string& file) {
  const std::optional<TimmModel> registered = timm_model(config);
  if (registered) {
    Arguments arguments = {{"num_classes", fmt::format("{}", config.classes)}};
    arguments.insert(arguments.end(), registered->arguments.begin(), registered->arguments.end());
    return {"import timm", fmt::format("model = timm.create_model(\"{}\", checkpoint_path={}, {})",
                                       registered->architecture, in_python(file), joined(arguments))};
  }
  Arguments arguments = architecture_of(config, "embed_dim");
  arguments.emplace_back("img_size", fmt::format("[{}, {}]", config.image_height, config.image_width));
  Lines lines = {"from timm.models.gcvit import GlobalContextVit",
                 fmt::format("model = GlobalContextVit({})", joined(arguments))};
  for (std::string& line : load_state_dict(file)) lines.push_back(std::move(line));
  return lines;
}

Lines lines_for_timm_folder(const std::string& folder) {
  return {"import timm",
          fmt::format("model = timm.create_model({}, pretrained=True)", in_python("local-dir:" + folder))};
}

Lines lines_for_nvlabs(const model::GCViTConfig& config, const std::string& file) {
  Arguments arguments = architecture_of(config, "dim");
  arguments.emplace_back("resolution", fmt::format("{}", config.native_image_size().height));
  Lines lines = {"from models.gc_vit import GCViT  # in a checkout of NVlabs/GCVit",
                 fmt::format("model = GCViT({})", joined(arguments))};
  for (std::string& line : load_state_dict(file)) lines.push_back(std::move(line));
  return lines;
}

Lines lines_for_keras(const model::GCViTConfig& config, const std::string& file, bool gcvit_tf) {
  const std::string import =
      gcvit_tf ? "from gcvit.models.gcvit import GCViT  # of gcvit-tf" : "# GCViT is the class of the Keras example";
  return {import, "import numpy as np",
          fmt::format("model = GCViT({})", joined(architecture_of(config, gcvit_tf ? "dim" : "embed_dim"))),
          fmt::format("model(np.zeros([1, {}, {}, 3], \"float32\"))", config.image_height, config.image_width),
          fmt::format("model.load_weights({})", in_python(file))};
}

Lines lines_for_onnxruntime(const model::GCViTConfig& config, const std::string& file) {
  return {"import onnxruntime", fmt::format("session = onnxruntime.InferenceSession({})", in_python(file)),
          fmt::format("logits, = session.run([\"logits\"], {{\"images\": images}})  # float32 [N, 3, {}, {}]",
                      config.image_height, config.image_width)};
}

void tell_how_to_load(std::string_view loader, const Lines& lines) noexcept {
  try {
    std::string text = fmt::format("gcvit: to load it with {}:\n", loader);
    for (const std::string& line : lines) text += fmt::format("    {}\n", printable(line));
    tell(stderr, text);
  } catch (const std::bad_alloc&) {
    notice("[memory] not enough memory");
  }
}

}  // namespace gcvit::cli
