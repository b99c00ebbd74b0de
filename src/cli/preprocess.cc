// SPDX-License-Identifier: Apache-2.0
// gcvit preprocess: the tensor that a model would see.
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "inference/preprocessing.h"
#include "inference/run_images.h"
#include "inference/preparation.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/image_arguments.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "formats/npy.h"

namespace gcvit::cli {
namespace {

struct Options {
  ModelArguments arguments;
  std::vector<std::string> images;
  std::string output;
};

/// A preset and a size are sufficient; otherwise the rest comes from a model file.
inference::Preparation preparation_of(const ModelArguments& arguments) {
  const ClassifierOptions options = arguments.classifier_options();
  const std::string_view preset = name_of(options.preprocess);
  const image::DecodeOptions decode =
      inference::decode_options_of(inference::session_options_of(options).images, options.max_memory);
  if (arguments.model.empty() && options.preprocess != Preset::kAuto && options.image_height != 0) {
    return {
        image::make_preprocess_config(inference::parse_preset(preset), "", options.image_height, options.image_width),
        decode};
  }
  const std::string file = arguments.model_file();
  const weights::LoadedModel loaded = weights::load_model(file, arguments.load_options());
  notice_loading(loaded);
  return {inference::preprocessing_of(loaded.info, preset, file), decode};
}

int run(const Options& options) {
  const ImageArguments arguments(options.images);
  const std::vector<Image>& images = arguments.images();
  const inference::Preparation preparation = preparation_of(options.arguments);
  const image::PreprocessConfig& config = preparation.preprocess;
  image::check(config);

  formats::NpyWriter writer(options.output, {config.height, config.width, 3});
  const int threads = options.arguments.options.threads;
  Progress progress(images.size());
  inference::prepare_images(preparation, images, threads == 0 ? available_processors() : threads,
                            [&](std::size_t, std::span<const float> tensor, std::string_view error) {
                              // Rows are told apart by their place alone, so none can be left out.
                              if (!error.empty()) throw Error(std::string(error));
                              writer.append(tensor);
                              progress.step();
                            });
  progress.clear();
  writer.finish();
  notice(fmt::format("{}: [{}, {}, {}, 3] float32, {}", options.output, images.size(), config.height, config.width,
                     image::describe(config)));
  return 0;
}

}  // namespace

Command add_preprocess(CLI::App& program) {
  CLI::App* app = program.add_subcommand("preprocess", "Write the input tensors that a model gets for photos");
  const auto options = std::make_shared<Options>();
  options->arguments.add_model(*app);
  add_image_list(*app, options->images);
  app->add_option("-o,--output", options->output, "The .npy file to write: float32 [N,H,W,3], normalised")
      ->required()
      ->type_name("OUT.npy");
  options->arguments.add_images(*app);
  options->arguments.add_image_size(*app);
  app->get_option("--image-size")
      ->description("Height and width of the tensors in pixels; together with --preprocess no model is needed");
  options->arguments.add_threads(*app);
  return {app, [options] { return run(*options); }};
}

}  // namespace gcvit::cli
