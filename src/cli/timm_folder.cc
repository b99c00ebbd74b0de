// SPDX-License-Identifier: Apache-2.0
#include "cli/timm_folder.h"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "base/atomic_file.h"
#include "base/error.h"
#include "cli/load_lines.h"
#include "cli/output.h"
#include "model/tensor_table.h"

namespace gcvit::cli {
namespace {

namespace fs = std::filesystem;

TimmModel registered_model(const model::GCViTConfig& config, const std::string& folder) {
  if (config.native_image) {
    fail(
        "[convert] {}: timm has no such model: its windows change with the image size, these stay (--window-mode "
        "fixed)",
        folder);
  }
  std::optional<TimmModel> registered = timm_model(config);
  if (!registered) {
    fail(
        "[convert] {}: timm has no registered model of these depths, heads and widths, which a folder must name; "
        "`gcvit "
        "convert IN model.safetensors --layout timm` writes the weights and prints the lines that build the model",
        folder);
  }
  return *std::move(registered);
}

/// timm's name of the layer whose weight has this canonical name.
std::string timm_layer(std::string_view weight) {
  constexpr std::string_view kWeight = ".weight";
  const std::string name = model::tensor_name(*model::find_tensor(weight), &model::TensorRow::timm);
  return name.substr(0, name.size() - kWeight.size());
}

Json data_config(const model::GCViTConfig& config, const image::PreprocessConfig& preprocess) {
  const bool keras = preprocess.preset == image::Preset::kKeras;
  const bool squashes = preprocess.squash || keras || preprocess.preset == image::Preset::kKerasTrain;
  const auto shortest = [](const std::array<float, 3>& values) {
    Json list = Json::array();  // 0.485 rather than 0.48500001430511475
    for (const float value : values) list.push_back(Json::parse(fmt::format("{}", value)));
    return list;
  };
  return {{"custom_load", false},
          {"input_size", {3, config.image_height, config.image_width}},
          {"fixed_input_size", true},
          {"interpolation", keras ? "bilinear" : to_string(preprocess.interpolation)},
          {"crop_pct", squashes && !preprocess.squash ? 1.0 : preprocess.crop_pct},
          {"crop_mode", squashes ? "squash" : "center"},
          {"mean", shortest(preprocess.mean)},
          {"std", shortest(preprocess.std)},
          {"num_classes", config.classes},
          {"pool_size", {config.map(model::kLevels - 1).height, config.map(model::kLevels - 1).width}},
          {"first_conv", timm_layer(model::tensors::kStemWeight)},
          {"classifier", timm_layer(model::tensors::kHeadWeight)}};
}

Json config_json(const weights::ModelInfo& info, const TimmModel& registered,
                 const image::PreprocessConfig& preprocess) {
  Json json = {{"architecture", registered.architecture},
               {"num_classes", info.config.classes},
               {"num_features", info.config.channels(model::kLevels - 1)},
               {"global_pool", "avg"}};
  if (!info.classes.empty()) json["label_names"] = info.classes;
  for (const auto& [name, value] : registered.arguments) json["model_args"][name] = Json::parse(value);
  json["pretrained_cfg"] = data_config(info.config, preprocess);
  return json;
}

/// Removes what was written unless it is kept.
class NewFolder {
 public:
  explicit NewFolder(const std::string& path) : path_(path) {
    std::error_code error;
    made_ = fs::create_directories(path_, error);
    if (error) fail("[file] {}: can't be made: {}", path, error.message());
    if (!made_ && !fs::is_empty(path_, error)) {
      fail("[convert] {}: expected a new or empty folder, found one with files", path);
    }
  }
  ~NewFolder() {
    if (kept_) return;
    std::error_code error;
    fs::remove(path_ / "model.safetensors", error);
    fs::remove(path_ / "config.json", error);
    if (made_) fs::remove(path_, error);
  }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  std::string file(const char* name) const { return (path_ / name).string(); }
  void keep() { kept_ = true; }

 private:
  fs::path path_;
  bool made_ = false;
  bool kept_ = false;
};

}  // namespace

bool is_folder_name(const std::string& path) {
  std::error_code error;
  return path.ends_with('/') || fs::is_directory(path, error) || fs::path(path).extension().empty();
}

weights::ConvertReport write_timm_folder(weights::LoadedModel& loaded, const image::PreprocessConfig& preprocess,
                                         const std::string& folder, weights::ConvertOptions options) {
  const TimmModel registered = registered_model(loaded.info.config, folder);
  const std::string config =
      config_json(loaded.info, registered, preprocess).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  loaded.info.classes.clear();  // written here: not left behind
  loaded.info.preprocess_json.clear();
  options.layout = weights::Layout::kTimm;

  NewFolder written(folder);
  weights::ConvertReport report = weights::convert(loaded, written.file("model.safetensors"), options);
  AtomicFile file(written.file("config.json"));
  file.write(config);
  file.commit();
  written.keep();
  if (preprocess.preset == image::Preset::kKeras || preprocess.preset == image::Preset::kKerasTrain) {
    report.left_behind.push_back(
        fmt::format("config.json says how timm comes nearest to the preset {}: answers will differ a little",
                    to_string(preprocess.preset)));
  }
  return report;
}

}  // namespace gcvit::cli
