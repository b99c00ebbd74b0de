// SPDX-License-Identifier: Apache-2.0
// gcvit convert: a weight file in another format or layout.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "inference/preprocessing.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "weights/convert.h"

namespace gcvit::cli {
namespace {

struct Options {
  ModelArguments arguments;
  std::string output;
  std::string layout;  ///< empty: by OUT's ending
  std::string dtype;
};

/// "gcvit-tf" is the keras layout with another project's class names.
constexpr std::string_view kGcvitTf = "gcvit-tf";

weights::ConvertOptions convert_options(const Options& options) {
  using weights::Layout;
  weights::ConvertOptions result;
  for (const Layout layout : {Layout::kCanonical, Layout::kTimm, Layout::kNvlabs, Layout::kKeras}) {
    if (options.layout == weights::name_of(layout)) result.layout = layout;
  }
  if (options.layout == kGcvitTf) {
    result.layout = Layout::kKeras;
    result.keras_flavour = weights::KerasFlavour::kGcvitTf;
  }
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    if (options.dtype == gcvit::name_of(dtype)) result.dtype = dtype;
  }
  return result;
}

int run(const Options& options) {
  const std::string file = file_of_model(options.arguments.model);
  const weights::ConvertOptions target = convert_options(options);
  const bool ours = target.layout.value_or(weights::default_layout(weights::format_of(options.output))) ==
                    weights::Layout::kCanonical;
  weights::LoadOptions wanted = options.arguments.load_options();
  wanted.keep_types = ours && !target.dtype;
  weights::LoadedModel loaded = weights::load_model(file, wanted);
  notice_loading(loaded);
  if (ours && loaded.info.preprocess_json.empty()) {
    loaded.info.preprocess_json = inference::to_json(inference::preprocessing_of(loaded.info, "auto", file));
  }
  weights::record_origin(loaded.info, file);
  const weights::ConvertReport report = weights::convert(loaded, options.output, target);
  for (const std::string& sentence : report.left_behind) notice(sentence);
  std::int64_t parameters = 0;
  for (const model::Parameter* parameter : loaded.model->parameters()) parameters += element_count(parameter->dims);
  std::vector<std::string_view> dtypes;
  for (const DType dtype : report.dtypes) dtypes.push_back(gcvit::name_of(dtype));
  notice(fmt::format("{}: {} parameters, {}, {} layout", options.output, with_commas(parameters),
                     fmt::join(dtypes, " and "), weights::name_of(report.layout)));
  return 0;
}

}  // namespace

Command add_convert(CLI::App& program) {
  CLI::App* app = program.add_subcommand(
      "convert", "Write a model's weights in the format of another project, or as one self-describing gcvit file");
  const auto options = std::make_shared<Options>();
  app->add_option("IN", options->arguments.model,
                  "A weight file of any format that gcvit reads, or the name of a pulled file")
      ->required();
  app->add_option("OUT", options->output, "File to write: .safetensors, .pth or .weights.h5")->required();
  app->add_option(
         "--layout", options->layout,
         "Names and shapes of the tensors: canonical (gcvit's own), timm, nvlabs, keras (the Keras example) or "
         "gcvit-tf; default: canonical in .safetensors, nvlabs in .pth, keras in .weights.h5")
      ->check(CLI::IsMember({"canonical", "timm", "nvlabs", "keras", "gcvit-tf"}));
  app->add_option("--dtype", options->dtype, "Data type to store, f32, f16 or bf16; default: that of IN")
      ->check(CLI::IsMember({"f32", "f16", "bf16"}));
  options->arguments.add_image_size(*app);
  options->arguments.add_new_head(*app);
  options->arguments.add_max_memory(*app);
  options->arguments.add_ema(*app);
  options->arguments.add_keras_example_bias(*app);
  options->arguments.add_threads(*app);
  return {app, [options] { return run(*options); }};
}

}  // namespace gcvit::cli
