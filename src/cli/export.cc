// SPDX-License-Identifier: Apache-2.0
// gcvit export: a model as an ONNX file, for ONNX Runtime, OpenVINO and other programs that read ONNX.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <memory>

#include "inference/labels.h"
#include "inference/preprocessing.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "model/tensor_table.h"
#include "onnx/onnx_backend.h"
#include "weights/load.h"

namespace gcvit::cli {
namespace {

struct Options {
  ModelArguments arguments;
  std::string output;
  onnx::GraphOptions graph;
};

/// What a program needs to know to make `images` from photos.
std::string serialise(const image::PreprocessConfig& config) {
  const Json json = {{"preset", to_string(config.preset)},
                     {"image_size", {config.height, config.width}},
                     {"crop_pct", config.crop_pct},
                     {"squash", config.squash},
                     {"mean", config.mean},
                     {"std", config.std}};
  return json.dump();
}

/// The metadata of our own files, with all that would have to be inferred from them written out.
onnx::GraphDescription describe(const weights::ModelInfo& info, const std::string& file) {
  weights::ModelInfo complete = info;
  const image::PreprocessConfig preprocess = inference::preprocessing_of(info, "auto", file);
  if (complete.preprocess_json.empty()) complete.preprocess_json = serialise(preprocess);
  std::vector<std::string> labels = inference::class_labels(info);
  if (!inference::wordnet_ids(labels).empty()) complete.classes = std::move(labels);  // known, not numbered
  if (!complete.origin) complete.origin = weights::ModelOrigin{info.source.format, info.source.layout, ""};
  const model::GCViTConfig& config = info.config;
  const std::string name = fmt::format("gcvit_{}", model::variant_name(config));
  return {.name = name,
          .text = fmt::format("{}. images: RGB photos [N, 3, {}, {}] ({}). logits: [N, {}], before any softmax.", name,
                              config.image_height, config.image_width, image::describe(preprocess), config.classes),
          .metadata = weights::serialise_model_info(complete)};
}

/// All but int8 weights become f32.
void keep_only_int8(model::GCViT& model) {
  for (ops::Parameter* parameter : model.parameters()) {
    if (parameter->tensor.dtype() == DType::kI8 && model::is_weight(parameter->role)) continue;
    parameter->tensor = ops::to_f32({parameter->tensor, parameter->scales});
    parameter->scales = {};
  }
}

int run(const Options& options) {
  const std::string file = options.arguments.model_file();
  weights::LoadOptions load = options.arguments.load_options();
  load.keep_types = options.arguments.dtype == "auto";
  const weights::LoadedModel loaded = weights::load_model(file, load);
  notice_loading(loaded);
  keep_only_int8(*loaded.model);
  const model::GCViTConfig& config = loaded.info.config;

  onnx::OnnxBackend backend(options.graph);
  const ops::Value images = backend.input("images", {config.image_height, config.image_width, 3});
  backend.output("logits", loaded.model->forward(backend, images));
  backend.write(options.output, describe(loaded.info, file));
  notice(fmt::format("{}: opset {}, {} bytes; images [N, 3, {}, {}] -> logits [N, {}]", options.output,
                     options.graph.opset,
                     with_commas(static_cast<std::int64_t>(std::filesystem::file_size(options.output))),
                     config.image_height, config.image_width, config.classes));
  return 0;
}

}  // namespace

Command add_export(CLI::App& program) {
  CLI::App* app =
      program.add_subcommand("export", "Write a model as an ONNX file: images [N,3,H,W] -> logits [N,classes]");
  const auto options = std::make_shared<Options>();
  options->arguments.add_model(*app);
  app->add_option("output", options->output, "The .onnx file to write")->required()->type_name("OUT.onnx");
  app->add_option("--opset", options->graph.opset, "Version of the ONNX operator set")
      ->check(CLI::Range(onnx::kOldestOpset, onnx::kNewestOpset))
      ->capture_default_str();
  app->add_option("--dtype", options->arguments.dtype,
                  "auto: int8 weights stay int8, all else becomes f32; f32: so do they")
      ->check(CLI::IsMember({"auto", "f32"}))
      ->capture_default_str();
  options->arguments.add_image_size(*app);
  return {app, [options] { return run(*options); }};
}

}  // namespace gcvit::cli
