// SPDX-License-Identifier: Apache-2.0
// gcvit info: what a model is, layer by layer.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

#include "inference/labels.h"
#include "inference/preprocessing.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/description.h"
#include "cli/output.h"
#include "gcvit/version.h"
#include "kernels/target.h"
#include "summary/summary_backend.h"
#include "summary/table.h"
#include "base/error.h"
#include "base/printable.h"
#include "formats/in_quotes.h"
#include "weights/load.h"

namespace gcvit::cli {
namespace {

struct Options {
  ModelArguments arguments;
  std::string variant;
  bool json = false;
};

/// What is known of a model, with or without a file.
struct Model {
  std::string name;
  weights::ModelInfo info;
  weights::LoadReport report;
  std::shared_ptr<const model::GCViT> model;
};

Model open(const Options& options) {
  weights::LoadOptions wanted = options.arguments.load_options();
  wanted.shapes_only = true;
  if (!options.variant.empty()) {
    model::GCViTConfig config = model::variant_config(options.variant);
    if (options.arguments.num_classes != 0) config.classes = options.arguments.num_classes;
    if (wanted.image_size) config = model::with_image_size(config, *wanted.image_size, wanted.window_mode);
    Model result{options.variant, {}, {}, std::make_shared<model::GCViT>(config)};
    result.info.config = config;
    result.info.source = {"none", "canonical", {}};
    return result;
  }
  const std::string file = options.arguments.model_file();
  weights::LoadedModel loaded = weights::load_model(file, wanted);
  notice_loading(loaded);
  return {file, std::move(loaded.info), std::move(loaded.report), std::move(loaded.model)};
}

/// As gcvit.preprocess has it, with every number; null where the file's own can't be followed.
Json preprocess_json(const Model& model) {
  try {
    return Json::parse(inference::to_json(inference::preprocessing_of(model.info, "auto", model.name)));
  } catch (const Error&) {
    return nullptr;
  }
}

Json dims_of(const ops::Shape& shape) { return {shape.height, shape.width, shape.channels}; }

Json to_json(const Model& model, const summary::SummaryBackend& summary) {
  Json result;
  result["config"] = Json::parse(weights::serialise_config(model.info.config));
  result["source"] = {{"format", model.info.source.format},
                      {"layout", model.info.source.layout},
                      {"inferred", model.info.source.inferred}};
  if (model.info.origin && model.info.origin->keras_example_bias) result["source"]["keras_example_bias"] = true;
  result["variant"] = model::variant_name(model.info.config);
  result["classes"] = inference::class_labels(model.info);
  result["preprocess"] = preprocess_json(model);
  for (const auto& [dtype, count] : model.report.types) result["source"]["tensors"][name_of(dtype)] = count;
  if (!model.info.quantisation_json.empty()) result["quantization"] = Json::parse(model.info.quantisation_json);
  result["layers"] = Json::array();
  for (const summary::Layer& layer : summary.layers()) {
    Json row = {{"name", layer.name},
                {"type", layer.type},
                {"output_shape", dims_of(layer.output)},
                {"parameters", layer.parameters},
                {"macs", layer.macs}};
    if (layer.before_downsample) row["before_downsample"] = dims_of(*layer.before_downsample);
    result["layers"].push_back(std::move(row));
  }
  result["parameters"] = summary.parameters();
  result["macs"] = summary.macs();
  result["target"] = kernels::target();
  result["version"] = GCVIT_VERSION;
  return result;
}

std::string classes_text(const weights::ModelInfo& info) {
  constexpr std::size_t kShown = 6;
  const std::vector<std::string> labels = inference::class_labels(info);
  const std::size_t shown = std::min(labels.size(), kShown);
  return fmt::format("{}: {}{}", labels.size(),
                     fmt::join(labels.begin(), labels.begin() + static_cast<std::ptrdiff_t>(shown), ", "),
                     shown < labels.size() ? ", ..." : "");
}

bool is_f32(const weights::LoadReport& report) {
  return report.types.size() == 1 && report.types.contains(DType::kF32);
}

/// "bf16", or of which types how many tensors are.
std::string weights_text(const weights::LoadReport& report) {
  if (report.types.size() == 1) return std::string(name_of(report.types.begin()->first));
  std::vector<std::string> counts;
  for (const auto& [dtype, count] : report.types) counts.push_back(fmt::format("{} tensors {}", count, name_of(dtype)));
  return fmt::format("{}", fmt::join(counts, ", "));
}

/// What is refused where photos are prepared is no reason not to show the model.
std::string preprocessing_text(const Model& model) {
  try {
    return image::describe(inference::preprocessing_of(model.info, "auto", model.name));
  } catch (const Error& error) {
    return fmt::format("needs --preprocess: {}", formats::without_area(error.what()));
  }
}

std::string to_text(const Model& model, const summary::SummaryBackend& summary) {
  const model::GCViTConfig& config = model.info.config;
  std::string text;
  const auto line = [&](std::string_view key, std::string_view value) {
    text += fmt::format("{:<13}{}\n", key, printable(value));
  };
  std::vector<std::string> windows;
  for (const ops::Window& window : config.windows) windows.push_back(fmt::format("{}x{}", window.height, window.width));
  line("model", model.name);
  line("architecture",
       fmt::format("GCViT {}: dim {}, depths {}, heads {}, windows {}, MLP ratio {}{}", model::variant_name(config),
                   config.dim, fmt::join(config.depths, " "), fmt::join(config.heads, " "), fmt::join(windows, " "),
                   config.mlp_ratio, config.layer_scale ? ", layer scale" : ""));
  line("max pool", config.pool_padding == ops::PoolPadding::kZero ? "pads with zeros (Keras)"
                                                                  : "pads with minus infinity (PyTorch)");
  line("input", fmt::format("{}x{} RGB{}", config.image_height, config.image_width,
                            config.native_image ? fmt::format(", windows as for {}x{}: maps are padded to whole ones",
                                                              config.native_image->height, config.native_image->width)
                                                : ""));
  line("preprocess", preprocessing_text(model));
  line("classes", classes_text(model.info));
  if (model.info.temperature) line("temperature", fmt::format("{}", *model.info.temperature));
  line("format", fmt::format("{}, {} layout", model.info.source.format, model.info.source.layout));
  if (!model.report.types.empty() && !is_f32(model.report)) line("weights", weights_text(model.report));
  if (model.info.origin) {
    const weights::ModelOrigin& origin = *model.info.origin;
    line("made from", fmt::format("{}, {} layout{}", origin.format, origin.layout,
                                  origin.sha256.empty() ? "" : ", SHA-256 " + origin.sha256));
  }
  for (const std::string& reason : model.info.source.inferred) {
    line(&reason == model.info.source.inferred.data() ? "inferred" : "", reason);
  }
  if (!model.report.unexpected.empty()) {
    line("left alone", fmt::format("{} tensors that belong to no layer, as {}", model.report.unexpected.size(),
                                   model.report.unexpected.front()));
  }
  line("program", fmt::format("gcvit {}, SIMD target {}", GCVIT_VERSION, kernels::target()));
  return text + "\n" + summary::to_table(summary);
}

int run(const Options& options) {
  const Model model = open(options);
  summary::SummaryBackend summary;
  const model::GCViTConfig& config = model.info.config;
  model.model->forward(summary, summary.input({config.image_height, config.image_width, 3}));
  if (options.json) {
    print_json(to_json(model, summary));
  } else {
    print(to_text(model, summary));
  }
  return 0;
}

}  // namespace

Command add_info(CLI::App& program) {
  CLI::App* app = program.add_subcommand(
      "info", "Show a model's configuration and its layers: output shapes, parameters and multiply-adds");
  const auto options = std::make_shared<Options>();
  options->arguments.add_model_first(*app);
  app->add_option("--variant", options->variant, "Show a published architecture instead of a file")
      ->check(one_of(published_variants()))
      ->type_name("NAME")
      ->excludes("-m")
      ->excludes("MODEL");
  options->arguments.add_new_head(*app);
  options->arguments.add_image_size(*app);
  options->arguments.add_threads(*app);
  add_json(*app, options->json);
  return {app, [options] { return run(*options); }};
}

}  // namespace gcvit::cli
