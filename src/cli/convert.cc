// SPDX-License-Identifier: Apache-2.0
// gcvit convert: a weight file in another format or layout.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>

#include "inference/preprocessing.h"
#include "base/build_options.h"
#include "base/error.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/load_lines.h"
#include "cli/output.h"
#include "cli/timm_folder.h"
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

/// Throws `Error` for an ending that says what is wanted and that another way leads to.
void check_ending(const std::string& output) {
  const std::string stem = output.substr(0, output.rfind('.'));
  if (output.ends_with(".onnx") && kWithOnnx) {
    fail(ErrorCode::kInvalidArgument, "[convert] {}: ONNX files are written by another command: gcvit export IN {}",
         output, output);
  }
  if (output.ends_with(".keras")) {
    fail(ErrorCode::kUnsupported,
         "[convert] {}: a .keras file describes its model by Python classes, which this program doesn't have; write "
         "{}.weights.h5 instead, which load_weights of these classes' model takes",
         output, stem);
  }
  if (output.ends_with(".h5") && !output.ends_with(".weights.h5")) {
    fail(ErrorCode::kInvalidArgument,
         "[convert] {}: Keras 3 reads weights from names that end in .weights.h5: write {}.weights.h5", output, stem);
  }
}

void tell_about_loading(const Options& options, weights::Layout layout, const model::GCViTConfig& config, bool folder) {
  switch (layout) {
    case weights::Layout::kTimm:
      return tell_how_to_load("timm",
                              folder ? lines_for_timm_folder(options.output) : lines_for_timm(config, options.output));
    case weights::Layout::kNvlabs: return tell_how_to_load("NVlabs' code", lines_for_nvlabs(config, options.output));
    case weights::Layout::kKeras: {
      const bool gcvit_tf = options.layout == kGcvitTf;
      if (weights::format_of(options.output) != weights::FileFormat::kKeras) return;
      return tell_how_to_load(gcvit_tf ? "gcvit-tf" : "the Keras example",
                              lines_for_keras(config, options.output, gcvit_tf));
    }
    default: return;  // ours: -m takes it
  }
}

int run(const Options& options) {
  check_ending(options.output);
  const std::string file = file_of_model(options.arguments.model);
  const weights::ConvertOptions target = convert_options(options);
  const bool folder = target.layout == weights::Layout::kTimm && is_folder_name(options.output);
  const bool ours = !folder && target.layout.value_or(weights::default_layout(weights::format_of(options.output))) ==
                                   weights::Layout::kCanonical;
  weights::LoadOptions wanted = options.arguments.load_options();
  wanted.keep_types = ours && !target.dtype;
  weights::LoadedModel loaded = weights::load_model(file, wanted);
  notice_loading(loaded);
  if (ours && loaded.info.preprocess_json.empty()) {
    loaded.info.preprocess_json = inference::to_json(inference::preprocessing_of(loaded.info, "auto", file));
  }
  weights::record_origin(loaded.info, file);
  const weights::ConvertReport report =
      folder ? write_timm_folder(loaded, inference::preprocessing_of(loaded.info, "auto", file), options.output, target)
             : weights::convert(loaded, options.output, target);
  for (const std::string& sentence : report.left_behind) notice(sentence);
  std::int64_t parameters = 0;
  for (const model::Parameter* parameter : loaded.model->parameters()) parameters += element_count(parameter->dims);
  std::vector<std::string_view> dtypes;
  for (const DType dtype : report.dtypes) dtypes.push_back(gcvit::name_of(dtype));
  notice(fmt::format("{}: {} parameters, {}, {} layout", options.output, with_commas(parameters),
                     fmt::join(dtypes, " and "),
                     options.layout == kGcvitTf ? kGcvitTf : weights::name_of(report.layout)));
  tell_about_loading(options, report.layout, loaded.info.config, folder);
  return 0;
}

}  // namespace

Command add_convert(CLI::App& program) {
  CLI::App* app = program.add_subcommand(
      "convert", "Write a model's weights in the format of another project, or as one self-describing gcvit file");
  const auto options = std::make_shared<Options>();
  add_input(*app, options->arguments.model);
  app->add_option("OUT", options->output,
                  kWithKerasWriter ? "File to write, .safetensors, .pth or .weights.h5; with --layout timm also a new "
                                     "folder for timm's local-dir:"
                                   : "File to write, .safetensors or .pth; with --layout timm also a new folder for "
                                     "timm's local-dir:")
      ->required();
  app->add_option("--layout", options->layout,
                  "Names and shapes of the tensors; canonical is gcvit's own, keras the Keras example's")
      ->check(CLI::IsMember(std::vector<std::string>{"canonical", "timm", "nvlabs", "keras", std::string(kGcvitTf)}))
      ->default_str(kWithKerasWriter ? "canonical in .safetensors, nvlabs in .pth, keras in .weights.h5"
                                     : "canonical in .safetensors, nvlabs in .pth");
  app->add_option("--dtype", options->dtype, "Data type to store")
      ->check(CLI::IsMember({"f32", "f16", "bf16"}))
      ->default_str("that of IN");
  options->arguments.add_image_size(*app);
  options->arguments.add_new_head(*app);
  options->arguments.add_max_memory(*app);
  options->arguments.add_ema(*app);
  options->arguments.add_keras_example_bias(*app);
  options->arguments.add_threads(*app);
  return {app, [options] { return run(*options); }};
}

}  // namespace gcvit::cli
