// SPDX-License-Identifier: Apache-2.0
// gcvit features: what a model makes of photos, as numbers for other programs.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/feature_file.h"
#include "cli/image_arguments.h"
#include "cli/output.h"
#include "explain/image_features.h"
#include "inference/preprocessing.h"
#include "inference/run_images.h"
#include "inference/session_state.h"

namespace gcvit::cli {
namespace {

struct Options {
  ModelArguments arguments;
  std::vector<std::string> images;
  std::string output;
  int level = 0;
  bool json = false;
};

Feature feature_of_level(int level) {
  return level == 0 ? Feature::kPooled : static_cast<Feature>(static_cast<int>(Feature::kLevel1) + level - 1);
}

int run(const Options& options) {
  const ImageArguments arguments(options.images);
  const std::vector<Image>& images = arguments.images();
  std::vector<std::string> names;
  for (const Image& image : images) names.push_back(image.name());

  const std::string file = options.arguments.model_file();
  Session session(options.arguments.open(file), options.arguments.session_options());
  const Feature feature = feature_of_level(options.level);
  const ValueShape shape = session.shape_of(feature);
  const std::unique_ptr<FeatureFile> output = make_feature_file(options.output, shape, names);

  Json errors = Json::array();
  Progress progress(images.size());
  explain::features_of_images(session, images, feature, options.arguments.options.batch,
                              [&](std::size_t image, std::span<const float> values, std::string_view error) {
                                if (error.empty()) {
                                  output->add(names[image], values);
                                } else {
                                  progress.clear();
                                  notice(error);
                                  errors.push_back({{"image", names[image]}, {"error", error}});
                                }
                                progress.step();
                              });
  progress.clear();
  const std::size_t rows = images.size() - errors.size();
  if (rows == 0) fail("[features] {}: not written, as no photo could be read", options.output);
  output->commit({file, inference::to_json(session.state().preparation.preprocess), explain::fingerprint(session)});

  std::vector<std::int64_t> dims = {static_cast<std::int64_t>(rows), shape.height, shape.width, shape.channels};
  if (feature == Feature::kPooled) dims = {dims.front(), shape.channels};
  if (options.json) {
    print_json({{"model", file},
                {"features", name_of(feature)},
                {"output", options.output},
                {"shape", dims},
                {"errors", errors}});
  } else {
    notice(fmt::format("{}: {} float32 [{}]", options.output, name_of(feature), fmt::join(dims, ", ")));
  }
  if (!errors.empty()) notice(fmt::format("[features] {} of {} photos were left out", errors.size(), images.size()));
  return errors.empty() ? 0 : 1;
}

}  // namespace

Command add_features(CLI::App& program) {
  CLI::App* app = program.add_subcommand("features", "Write the feature vectors that a model computes of photos");
  const auto options = std::make_shared<Options>();
  options->arguments.add_model(*app);
  add_image_list(*app, options->images);
  app->add_option(
         "-o,--output", options->output,
         "The file to write: .npz (features, images and what made them), .npy (names in a .txt beside it) or .csv")
      ->required()
      ->type_name("OUT");
  app->add_option("--level", options->level,
                  "Write the feature map of this level (1 to 4, before its downsample), float32 [N,H,W,C], instead of "
                  "the pooled "
                  "vectors [N,F]")
      ->check(CLI::Range(1, 4))
      ->default_str("the pooled vectors");
  add_json(*app, options->json);
  options->arguments.add_running(*app);
  return {app, [options] { return run(*options); }};
}

}  // namespace gcvit::cli
