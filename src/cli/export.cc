// SPDX-License-Identifier: Apache-2.0
// gcvit export: a model as an ONNX file, for ONNX Runtime, OpenVINO and other programs that read ONNX.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "inference/labels.h"
#include "inference/preprocessing.h"
#include "base/build_options.h"
#include "base/error.h"
#include "cli/arguments.h"
#include "cli/calibration.h"
#include "cli/commands.h"
#include "cli/load_lines.h"
#include "cli/output.h"
#include "evaluate/input_scales.h"
#include "model/tensor_table.h"
#include "onnx/onnx_backend.h"
#include "weights/load.h"

namespace gcvit::cli {
namespace {

struct Options {
  ModelArguments arguments;
  std::vector<std::string> files;  ///< MODEL and OUT, or OUT alone
  std::string output;
  onnx::GraphOptions graph;
  bool rounds_inputs = false;  ///< --qdq
  evaluate::LabelledImages images;
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

bool is_int8(const ops::Parameter* parameter) { return parameter->tensor.dtype() == DType::kI8; }

std::string describe(double share) {
  return share == 1.0 ? "the largest magnitude" : fmt::format("{:g} % of the magnitudes", 100.0 * share);
}

/// Scales of the inputs of int8 layers, and in `scheme` how they were found.
std::map<std::string, float> find_input_scales(const Options& options, const std::string& file,
                                               const model::GCViT& model, Json& scheme) {
  const auto floats = std::make_shared<model::GCViT>(model.config());
  std::set<std::string> weights;
  for (std::size_t i = 0; i < model.parameters().size(); ++i) {
    const ops::Parameter& parameter = *model.parameters()[i];
    floats->parameters()[i]->tensor = ops::to_f32({parameter.tensor, parameter.scales});
    if (is_int8(&parameter)) weights.insert(parameter.name);
  }
  const CalibrationPhotos photos = read_calibration_photos(options.arguments, file, options.images);
  const ClassifierOptions& arguments = options.arguments.options;
  evaluate::InputScaleStudy study(floats, std::move(weights), arguments.threads, arguments.max_memory);
  Progress progress(photos.images.samples.size());
  study.run(photos.images, {photos.preparation, arguments.batch},
            [&](std::string_view error) { step(progress, error); });
  progress.clear();
  if (study.images() == 0) throw Error(fmt::format("[export] {}: no photo could be read", options.images.path));
  for (const evaluate::InputScaleStudy::Outcome& outcome : study.outcomes()) {
    notice(fmt::format("inputs scaled by {} / 127: error {:.3f} % of the logits, agreement {} of {} photos{}",
                       describe(outcome.share), 100.0 * outcome.error.value(), outcome.agreed, study.images(),
                       &outcome == &study.outcomes().front() ? "; taken" : ""));
  }
  const evaluate::InputScaleStudy::Outcome& best = study.outcomes().front();
  scheme["calibration_photos"] = study.images();
  scheme["agreement"] = static_cast<double>(best.agreed) / static_cast<double>(study.images());
  scheme["error"] = best.error.value();
  return best.scales;
}

/// Sets how int8 layers are computed, and returns what the metadata says of it.
std::string choose_scheme(const Options& options, const std::string& file, const model::GCViT& model,
                          onnx::GraphOptions& graph) {
  Json scheme = {{"scheme", "weights int8, symmetric, a scale an output channel; inputs of their layers f32"}};
  if (options.rounds_inputs) {
    scheme["scheme"] =
        "weights int8, symmetric, a scale an output channel; inputs of their layers int8, symmetric, a scale a layer, "
        "fixed";
    graph.input_scales = find_input_scales(options, file, model, scheme);
  }
  return scheme.dump();
}

/// Throws `Error` for the ending of a file that another command writes.
void check_ending(const std::string& output) {
  for (const char* const ending : {".safetensors", ".pth", ".pt", ".bin", ".pth.tar", ".h5", ".keras"}) {
    if (!output.ends_with(ending)) continue;
    const std::string way =
        kWithConverter ? fmt::format("; weight files are written by gcvit convert IN {}", output) : "";
    fail("[export] {}: expected a name that ends in .onnx{}", output, way);
  }
}

/// Which of the one or two files named is the model.
Options sorted(Options options) {
  options.output = options.files.back();
  if (options.files.size() == 2) {
    if (!options.arguments.model.empty()) throw UsageError("the model is named twice, by -m and before OUT.onnx");
    options.arguments.model = options.files.front();
  }
  return options;
}

int run(const Options& given) {
  const Options options = sorted(given);
  check_ending(options.output);
  const std::string file = options.arguments.model_file();
  weights::LoadOptions load = options.arguments.load_options();
  load.keep_types = options.arguments.dtype == "auto";
  weights::LoadedModel loaded = weights::load_model(file, load);
  notice_loading(loaded);
  keep_only_int8(*loaded.model);
  const model::GCViTConfig& config = loaded.info.config;
  onnx::GraphOptions graph = options.graph;
  if (std::ranges::any_of(std::as_const(*loaded.model).parameters(), is_int8)) {
    loaded.info.quantisation_json = choose_scheme(options, file, *loaded.model, graph);
  } else if (options.rounds_inputs) {
    throw Error(fmt::format("[export] {}: --qdq: expected int8 weights, found floats alone{}", file,
                            kWithConverter ? "; `gcvit quantize` makes a file with int8 weights" : ""));
  }

  onnx::OnnxBackend backend(graph);
  const ops::Value images = backend.input("images", {config.image_height, config.image_width, 3});
  backend.output("logits", loaded.model->forward(backend, images));
  backend.write(options.output, describe(loaded.info, file));
  notice(fmt::format("{}: opset {}, {} bytes; images [N, 3, {}, {}] -> logits [N, {}]", options.output,
                     options.graph.opset,
                     with_commas(static_cast<std::int64_t>(std::filesystem::file_size(options.output))),
                     config.image_height, config.image_width, config.classes));
  tell_how_to_load("ONNX Runtime", lines_for_onnxruntime(config, options.output));
  return 0;
}

}  // namespace

Command add_export(CLI::App& program) {
  CLI::App* app =
      program.add_subcommand("export", "Write a model as an ONNX file: images [N,3,H,W] -> logits [N,classes]");
  const auto options = std::make_shared<Options>();
  app->add_option("-m,--model", options->arguments.model)->group("");  // as other commands have it
  options->arguments.add_loading(*app);
  app->add_option("files", options->files,
                  "The file to write, and before it the model (default: the bundled flower model)")
      ->required()
      ->expected(1, 2)
      ->type_name("[MODEL] OUT.onnx");
  app->add_option("--opset", options->graph.opset, "Version of the ONNX operator set")
      ->check(CLI::Range(onnx::kOldestOpset, onnx::kNewestOpset))
      ->capture_default_str();
  app->add_option("--dtype", options->arguments.dtype,
                  "auto keeps int8 weights as int8 and makes all else f32; f32 makes them f32 too")
      ->check(CLI::IsMember({"auto", "f32"}))
      ->capture_default_str();
  CLI::Option* const rounds_inputs = app->add_flag(
      "--qdq", options->rounds_inputs, "Round the inputs of int8 layers to int8 too, by scales that --calibrate finds");
  CLI::Option* const calibrate =
      app->add_option("--calibrate", options->images.path, "Photos to find the scales on, labelled as for eval")
          ->type_name("DATA")
          ->needs(rounds_inputs);
  rounds_inputs->needs(calibrate);
  add_calibration_choice(*app, options->images);
  options->arguments.add_image_size(*app);
  options->arguments.add_batch(*app);
  options->arguments.add_threads(*app);
  return {app, [options] { return run(*options); }};
}

}  // namespace gcvit::cli
