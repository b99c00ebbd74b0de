// SPDX-License-Identifier: Apache-2.0
// gcvit classify: the classes of photos.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/image_arguments.h"
#include "gcvit/classifier.h"
#include "base/printable.h"

namespace gcvit::cli {
namespace {

constexpr const char* kUnsure = "unsure";

struct Options {
  ModelArguments arguments;
  std::vector<std::string> images;
  int k = 5;
  bool json = false;
  bool jsonl = false;
  std::optional<float> threshold;
};

/// With a threshold: the best class, or "unsure" when it is less probable than that.
std::optional<std::string> verdict(const ImageResult& result, const Options& options) {
  if (!options.threshold) return std::nullopt;
  const Prediction& best = result.predictions.front();
  return best.probability < *options.threshold ? kUnsure : best.label;
}

Json to_json(const std::string& image, const ImageResult& result, const Options& options) {
  if (!result.error.empty()) return {{"image", image}, {"error", result.error}};
  Json json;
  json["image"] = image;
  if (const auto label = verdict(result, options)) json["label"] = *label;
  json["predictions"] = Json::array();
  for (const Prediction& prediction : result.predictions) {
    json["predictions"].push_back(
        {{"index", prediction.index}, {"label", prediction.label}, {"probability", prediction.probability}});
  }
  return json;
}

std::string to_text(const std::string& image, const ImageResult& result, const Options& options) {
  std::string text = fmt::format("{}: {}\n", printable(image),
                                 printable(verdict(result, options).value_or(result.predictions.front().label)));
  for (const Prediction& prediction : result.predictions) {
    text += fmt::format("  {:6.2f} %  {}\n", 100.0f * prediction.probability, printable(prediction.label));
  }
  return text;
}

int run(const Options& options) {
  const ImageArguments arguments(options.images);
  const std::vector<Image>& images = arguments.images();
  const std::string file = options.arguments.model_file();
  Classifier classifier(file, options.arguments.classifier_options());
  for (const std::string& sentence : classifier.notices()) notice(sentence);

  Json results = Json::array();
  Json errors = Json::array();
  std::size_t broken = 0;
  Progress progress(images.size());
  classifier.classify(images, options.k, [&](const ImageResult& result) {
    const std::string& image = images[result.image].name();
    const bool whole = result.error.empty();
    if (!whole) {
      ++broken;
      progress.clear();
      notice(result.error);
    }
    if (options.json) {
      (whole ? results : errors).push_back(to_json(image, result, options));
    } else if (options.jsonl) {
      progress.clear();
      print_json(to_json(image, result, options));
    } else if (whole) {
      progress.clear();
      print(to_text(image, result, options));
    }
    progress.step();
  });
  progress.clear();
  if (options.json) print_json(Json{{"model", file}, {"results", std::move(results)}, {"errors", std::move(errors)}});
  if (broken > 0 && images.size() > 1) {
    notice(fmt::format("[classify] {} of {} photos could not be classified", broken, images.size()));
  }
  return broken > 0 ? 1 : 0;
}

}  // namespace

Command add_classify(CLI::App& program) {
  CLI::App* app = program.add_subcommand("classify", "Classify photos");
  const auto options = std::make_shared<Options>();
  options->arguments.add_model(*app);
  add_image_list(*app, options->images);
  app->add_option("-k", options->k, "Number of classes to show, most probable first")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app->add_option("--threshold", options->threshold, "Answer \"unsure\" when the best class is less probable than this")
      ->check(CLI::Range(0.0, 1.0));
  CLI::Option* json = app->add_flag("--json", options->json, "Print one JSON object");
  app->add_flag("--jsonl", options->jsonl, "Print one JSON object per line, each as soon as it is ready")
      ->excludes(json);
  options->arguments.add_images(*app);
  options->arguments.add_image_size(*app);
  options->arguments.add_batch(*app);
  options->arguments.add_dtype(*app);
  options->arguments.add_threads(*app);
  return {app, [options] { return run(*options); }};
}

}  // namespace gcvit::cli
