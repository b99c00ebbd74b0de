// SPDX-License-Identifier: Apache-2.0
// gcvit quantize: a model with its weights in int8 or bf16, and what that does to its answers.
#include <fmt/format.h>

#include <system_error>
#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>

#include "cli/arguments.h"
#include "cli/calibration.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "evaluate/evaluate.h"
#include "evaluate/rounding.h"
#include "inference/precision.h"
#include "inference/preprocessing.h"
#include "model/tensor_table.h"
#include "weights/convert.h"
#include "weights/load.h"

namespace gcvit::cli {
namespace {

constexpr std::string_view kScheme =
    "weights int8, symmetric, a scale an output channel; inputs of their layers int8, symmetric, a scale a row, "
    "dynamic";

struct Options {
  ModelArguments arguments;
  std::string output;
  std::string floats;
  evaluate::LabelledImages images;  ///< no path: none
  bool json = false;
};

struct Layer {
  evaluate::RoundedLayer rounded;
  std::optional<double> logit_error{};
};

struct Results {
  std::vector<Layer> layers;
  std::map<DType, std::size_t> types;
  std::unique_ptr<evaluate::RoundingStudy> study;
  std::uintmax_t bytes_in = 0;
  std::uintmax_t bytes_out = 0;
};

using Parameters = std::shared_ptr<model::GCViT>;

/// A model of the same config and values, in the types in which they are to be written.
Parameters in_types(const model::GCViT& exact, const Options& options) {
  auto result = std::make_shared<model::GCViT>(exact.config());
  const Precision precision = parse_precision(options.arguments.dtype);
  const bool narrow = precision == Precision::kBf16 || options.floats == "bf16";
  for (std::size_t i = 0; i < exact.parameters().size(); ++i) {
    ops::Parameter& parameter = *result->parameters()[i];
    const Tensor& values = exact.parameters()[i]->tensor;
    ops::TypedValues typed{values, {}};
    if (precision == Precision::kInt8) typed = inference::in_precision(precision, parameter, std::move(typed));
    if (narrow && typed.values.dtype() == DType::kF32) typed.values = values.to(DType::kBF16);
    parameter.tensor = std::move(typed.values);
    parameter.scales = std::move(typed.scales);
    ++parameter.version;
  }
  return result;
}

/// The model as it computes: what kernels don't take in a narrow type is f32 again.
Parameters as_computed(const model::GCViT& written) {
  auto result = std::make_shared<model::GCViT>(written.config());
  for (std::size_t i = 0; i < written.parameters().size(); ++i) {
    result->parameters()[i]->tensor = written.parameters()[i]->tensor;
    result->parameters()[i]->scales = written.parameters()[i]->scales;
  }
  inference::set_precision(Precision::kAuto, *result);
  return result;
}

/// Runs the images through both models.
void calibrate(const Options& options, const std::string& file, const Parameters& exact, const model::GCViT& written,
               Results& results) {
  const CalibrationPhotos photos = read_calibration_photos(options.arguments, file, options.images);
  const ClassifierOptions& classifier = options.arguments.options;
  evaluate::RoundingStudy::Options study;
  study.preparation = photos.preparation;
  study.batch = classifier.batch;
  results.study =
      std::make_unique<evaluate::RoundingStudy>(exact, as_computed(written), classifier.threads, classifier.max_memory);
  Progress progress(photos.images.samples.size());
  study.progress = [&](std::string_view error) { step(progress, error); };
  results.study->run(photos.images, study);
  progress.clear();
  if (results.study->images() == 0)
    throw Error(fmt::format("[quantize] {}: no photo could be read", options.images.path));
  Progress layers(results.layers.size(), Progress::Unit::kLayers);
  for (Layer& layer : results.layers) {
    const auto place = model::find_tensor(layer.rounded.weight);
    if (model::is_weight(place->row->role) && place->row->role != ops::Role::kDepthwise) {
      layer.logit_error = results.study->error_of_layer(layer.rounded.weight);
    }
    layers.step();
  }
  layers.clear();
}

std::string quantisation_json(const Results& results) {
  Json json = {{"scheme", kScheme}};
  Json floats = Json::object();
  for (const auto& [dtype, count] : results.types) {
    if (dtype != DType::kI8) floats[std::string(name_of(dtype))] = count;
  }
  json["floats"] = std::move(floats);
  if (results.study) {
    json["calibration_photos"] = results.study->images();
    json["agreement"] = results.study->agreement();
    json["error"] = results.study->error();
  }
  return json.dump();
}

Json to_json(const Options& options, const Results& results) {
  Json json = {{"scheme", options.arguments.dtype == "int8" ? std::string(kScheme) : "weights bf16"},
               {"layers", Json::array()},
               {"bytes_in", results.bytes_in},
               {"bytes_out", results.bytes_out}};
  for (const Layer& layer : results.layers) {
    Json row = {
        {"name", layer.rounded.weight}, {"dtype", name_of(layer.rounded.dtype)}, {"error", layer.rounded.error}};
    if (layer.logit_error) row["logit_error"] = *layer.logit_error;
    json["layers"].push_back(std::move(row));
  }
  if (results.study) {
    json["photos"] = results.study->images();
    json["agreement"] = results.study->agreement();
    json["error"] = results.study->error();
  }
  return json;
}

std::string to_text(const Results& results) {
  std::string text = fmt::format("{:<42}  dtype  error of the weight{}\n", "layer",
                                 results.study ? "  of the logits, with it alone" : "");
  for (const Layer& layer : results.layers) {
    const auto role = model::find_tensor(layer.rounded.weight)->row->role;
    if (!model::is_weight(role)) continue;
    text += fmt::format("{:<42}  {:<5}  {:>17.3f} %", model::readable_layer(layer.rounded.weight),
                        name_of(layer.rounded.dtype), 100.0 * layer.rounded.error);
    if (layer.logit_error) text += fmt::format("  {:>26.4f} %", 100.0 * *layer.logit_error);
    text += "\n";
  }
  if (results.study) {
    text += fmt::format("\nagreement      {} of {} photos\nerror          {:.3f} % of the logits, root mean square\n",
                        results.study->agreed(), results.study->images(), 100.0 * results.study->error());
  }
  return text;
}

int run(const Options& options) {
  if (weights::format_of(options.output) != weights::FileFormat::kSafetensors) {
    throw Error(fmt::format("[quantize] {}: expected a name that ends in .safetensors", options.output));
  }
  const std::string file = file_of_model(options.arguments.model);
  weights::LoadedModel loaded = weights::load_model(file, options.arguments.load_options());
  notice_loading(loaded);
  if (loaded.info.preprocess_json.empty()) {
    loaded.info.preprocess_json = inference::to_json(inference::preprocessing_of(loaded.info, "auto", file));
  }
  weights::record_origin(loaded.info, file);
  const Parameters exact = std::move(loaded.model);
  const Parameters written = in_types(*exact, options);
  Results results;
  for (evaluate::RoundedLayer& layer : evaluate::rounded_layers(*exact, *written)) {
    results.layers.push_back({std::move(layer)});
  }
  for (const ops::Parameter* parameter : written->parameters()) ++results.types[parameter->tensor.dtype()];
  if (!options.images.path.empty()) calibrate(options, file, exact, *written, results);
  loaded.info.quantisation_json = quantisation_json(results);
  weights::save_model(options.output, *written, loaded.info);
  std::error_code none;
  results.bytes_in = std::filesystem::file_size(loaded.info.source.file.empty() ? file : loaded.info.source.file, none);
  if (none) results.bytes_in = 0;
  results.bytes_out = std::filesystem::file_size(options.output);
  if (options.json) {
    print_json(to_json(options, results));
  } else {
    print(to_text(results));
  }
  std::string types;
  for (const auto& [dtype, count] : results.types) {
    types += fmt::format("{}{} tensors {}", types.empty() ? "" : ", ", count, name_of(dtype));
  }
  notice(fmt::format("{}: {} bytes ({} has {}), {}", options.output,
                     with_commas(static_cast<std::int64_t>(results.bytes_out)), file,
                     with_commas(static_cast<std::int64_t>(results.bytes_in)), types));
  return 0;
}

}  // namespace

Command add_quantize(CLI::App& program) {
  CLI::App* app = program.add_subcommand(
      "quantize", "Write a model with its weights in int8 or bf16: a smaller file, which also computes so");
  const auto options = std::make_shared<Options>();
  add_input(*app, options->arguments.model);
  app->add_option("OUT", options->output, "The file to write")->required()->type_name("OUT.safetensors");
  app->add_option("--dtype", options->arguments.dtype,
                  "Data type of the weights; int8 is for those of blocks, downsamplers and query generators, with a "
                  "scale for each "
                  "output channel, bf16 for all")
      ->required()
      ->check(CLI::IsMember({"int8", "bf16"}));
  app->add_option("--floats", options->floats, "Data type to store in what isn't int8")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->default_str("f32");
  app->add_option(
         "--calibrate", options->images.path,
         "Photos to compare the answers on, labelled as for eval: prints how many stay the same, and the error of "
         "the logits, of all layers and of each alone (on 32 photos)")
      ->type_name("DATA");
  add_calibration_choice(*app, options->images);
  add_json(*app, options->json);
  options->arguments.add_ema(*app);
  options->arguments.add_keras_example_bias(*app);
  options->arguments.add_image_size(*app);
  options->arguments.add_images(*app);
  options->arguments.add_batch(*app);
  options->arguments.add_max_memory(*app);
  options->arguments.add_threads(*app);
  return {app, [options] { return run(*options); }};
}

}  // namespace gcvit::cli
