// SPDX-License-Identifier: Apache-2.0
#include "cli/arguments.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <optional>
#include <system_error>

#include "inference/bundled_model.h"
#include "inference/model_state.h"
#include "inference/precision.h"
#include "inference/run_images.h"
#include "cli/output.h"
#include "hub/cache.h"
#include "base/build_options.h"
#include "base/error.h"
#include "model/config.h"

namespace gcvit::cli {
namespace {

constexpr int kMostThreads = 1024;
constexpr const char* kModelText =
    kWithHub ? "Weight file of gcvit, Keras, PyTorch, timm or JAX, folder of timm, Hugging Face or a training run, or "
               "name of a pulled file"
             : "Weight file of gcvit, Keras, PyTorch, timm or JAX, or folder of timm, Hugging Face or a training run";
constexpr const char* kBundledText = "the bundled flower model";
constexpr Preset kPresets[] = {Preset::kAuto, Preset::kKeras, Preset::kKerasTrain, Preset::kTimm, Preset::kNvlabs};
/// The most that an image can have: width and height are at most 65,535.
constexpr std::uint64_t kMostPixels = std::uint64_t{65535} * 65535;

}  // namespace

void ModelArguments::add_model(CLI::App& app) {
  app.add_option("-m,--model", model, kModelText)->type_name("MODEL")->default_str(kBundledText);
  add_loading(app);
}

void ModelArguments::add_model_first(CLI::App& app) {
  CLI::Option* const first = app.add_option("MODEL", model, kModelText)->type_name("MODEL")->default_str(kBundledText);
  app.add_option("-m,--model", model)->excludes(first)->group("");  // as other commands have it
  add_loading(app);
}

void ModelArguments::add_loading(CLI::App& app) {
  add_ema(app);
  add_keras_example_bias(app);
  add_max_memory(app);
}

void ModelArguments::add_max_memory(CLI::App& app) {
  app.add_option("--max-memory", options.max_memory,
                 "Most memory that the model and its activations may take, in bytes or such as 2G or 500M")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("SIZE")
      ->default_str("three quarters of what the machine or the container has");
}

void ModelArguments::add_ema(CLI::App& app) {
  CLI::Option* const averaged = app.add_flag_callback(
      "--ema", [this] { options.ema = true; },
      "Use the averaged (EMA) weights of a checkpoint that holds both raw and averaged ones; without this flag a "
      "notice says which were used");
  app.add_flag_callback(
         "--no-ema", [this] { options.ema = false; },
         "Use the raw weights; an error when the checkpoint holds only averaged ones")
      ->excludes(averaged);
}

void ModelArguments::add_keras_example_bias(CLI::App& app) {
  app.add_flag("--keras-example-bias", options.keras_example_bias,
               "For weights fine-tuned with the Keras example, whose attention shares one bias between all heads");
}

void ModelArguments::add_new_head(CLI::App& app) {
  app.add_option("--num-classes", num_classes,
                 "Replace the head by a random one with this many classes, unless it has as many")
      ->check(CLI::Range(1, 1'000'000))
      ->default_str("the file's head");
  app.add_option("--seed", seed, "Seed of the new head's random values")->needs("--num-classes")->capture_default_str();
}

void ModelArguments::add_threads(CLI::App& app) {
  app.add_option("-t,--threads", options.threads, "Number of threads; 0 is one for each available processor")
      ->check(CLI::Range(0, kMostThreads))
      ->capture_default_str();
}

void ModelArguments::add_image_size(CLI::App& app) {
  app.add_option("--image-size", image_size,
                 "Height and width of the input in pixels, multiples of 32, such as 192x256 or 224; a size other than "
                 "the file's changes the model")
      ->type_name("HxW")
      ->default_str("the file's");
  app.add_option("--window-mode", window_mode,
                 "What happens to attention windows at another image size: exact resizes them, as timm does; fixed "
                 "keeps them and pads the feature maps")
      ->check(CLI::IsMember({"exact", "fixed"}))
      ->capture_default_str();
}

void ModelArguments::add_images(CLI::App& app) {
  app.add_option("--preprocess", preprocess, "How photos become tensors; auto is as the model file says")
      ->check(CLI::IsMember({"auto", "keras", "keras-train", "timm", "nvlabs"}))
      ->capture_default_str();
  app.add_flag("--no-exif", no_exif, "Ignore the EXIF orientation of photos");
  app.add_option("--max-pixels", options.max_pixels, "Refuse photos with more pixels (width x height) than this")
      ->check(CLI::Range(std::uint64_t{1}, kMostPixels))
      ->capture_default_str();
}

void ModelArguments::add_batch(CLI::App& app) {
  app.add_option(kBatchFlag, options.batch, "Number of photos in a batch")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
}

void ModelArguments::add_dtype(CLI::App& app) {
  app.add_option("--dtype", dtype, "Data type to compute in; auto is the one that the file has its weights in")
      ->check(CLI::IsMember({"auto", "f32", "bf16", "int8"}))
      ->capture_default_str();
}

void ModelArguments::add_running(CLI::App& app) {
  add_images(app);
  add_image_size(app);
  add_batch(app);
  add_dtype(app);
  add_threads(app);
}

Precision parse_precision(const std::string& dtype) {
  for (const Precision precision : {Precision::kF32, Precision::kBf16, Precision::kInt8}) {
    if (dtype == inference::name_of(precision)) return precision;
  }
  return Precision::kAuto;
}

std::string ModelArguments::model_file() const {
  return model.empty() ? inference::bundled_model() : file_of_model(model);
}

ClassifierOptions ModelArguments::classifier_options() const {
  ClassifierOptions result = options;
  result.precision = parse_precision(dtype);
  if (!image_size.empty()) {
    const Size size = parse_size(image_size);
    result.image_height = size.height;
    result.image_width = size.width;
  }
  result.apply_exif = !no_exif;
  result.window_mode = window_mode == "fixed" ? WindowMode::kFixed : WindowMode::kExact;
  for (const Preset preset : kPresets) {
    if (name_of(preset) == preprocess) result.preprocess = preset;
  }
  return result;
}

SessionOptions ModelArguments::session_options() const { return inference::session_options_of(classifier_options()); }

Model ModelArguments::open(const std::string& file) const {
  Model opened = Model::open(file, inference::model_options_of(classifier_options()));
  for (const std::string& sentence : opened.notices()) notice(sentence);
  return opened;
}

weights::LoadOptions ModelArguments::load_options() const {
  weights::LoadOptions result = inference::load_options_of(inference::model_options_of(classifier_options()));
  if (num_classes != 0) result.classes = num_classes;
  result.seed = seed;
  return result;
}

void notice_loading(const weights::LoadedModel& loaded) {
  for (const std::string& sentence : loaded.report.notices) notice(sentence);
  if (!loaded.report.new_head) return;
  notice(fmt::format("the head is new: {} classes with random values, to be trained", loaded.info.config.classes));
}

std::string file_of_model(const std::string& model) {
  if constexpr (kWithHub) {
    std::error_code error;
    for (const hub::OfficialFile& file : hub::official_files()) {
      if (file.url != model) continue;
      fail("[model] {}: expected a file, found a URL: run `gcvit pull {}`, and name the model {}", model, file.name,
           file.name);
    }
    const std::optional<hub::OfficialFile> official = hub::find_official(model);
    if (!official || std::filesystem::exists(model, error)) return model;
    if (const std::optional<std::string> pulled = hub::find_in_cache(*official)) return *pulled;
    fail("[model] {}: there is no such file here, and it was never pulled; run `gcvit pull {}`", model, model);
  }
  return model;
}

std::vector<std::string> published_variants() {
  std::vector<std::string> names;
  for (const model::Variant& variant : model::variants()) names.emplace_back(variant.name);
  return names;
}

Size parse_size(const std::string& text) {
  const auto side = [&](const char* first, const char* last) {
    int value = 0;
    const auto [end, error] = std::from_chars(first, last, value);
    if (error != std::errc() || end != last || value < 1) {
      throw UsageError("--image-size: expected a side as 224 or height x width as 192x256, found " + text);
    }
    return value;
  };
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const std::size_t cross = text.find('x');
  if (cross == std::string::npos) return {side(begin, end), side(begin, end)};
  return {side(begin, begin + cross), side(begin + cross + 1, end)};
}

void add_input(CLI::App& app, std::string& model) { app.add_option("IN", model, kModelText)->required(); }

void add_json(CLI::App& app, bool& json) { app.add_flag("--json", json, "Print one JSON object"); }

}  // namespace gcvit::cli
