// SPDX-License-Identifier: Apache-2.0
// gcvit classify: the classes of photos.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "cli/answers.h"
#include "cli/arguments.h"
#include "cli/class_folders.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/image_arguments.h"
#include "gcvit/classifier.h"

namespace gcvit::cli {
namespace {

/// From this many photos on, each gets one line unless asked otherwise.
constexpr std::size_t kManyPhotos = 10;

struct Options {
  CLI::App* app = nullptr;
  ModelArguments arguments;
  std::vector<std::string> images;
  int k = 5;
  bool json = false;
  bool jsonl = false;
  bool csv = false;
  bool oneline = false;
  bool blocks = false;
  std::optional<float> threshold;
  std::string sort_into;
  std::string sort_mode = "copy";
};

AnswerOptions answer_options(const Options& options, std::size_t photos) {
  AnswerOptions answers{.threshold = options.threshold};
  const bool lines = options.oneline || (photos >= kManyPhotos && !options.blocks);
  answers.form = options.json    ? AnswerForm::kJson
                 : options.jsonl ? AnswerForm::kJsonLines
                 : options.csv   ? AnswerForm::kCsv
                 : lines         ? AnswerForm::kLines
                                 : AnswerForm::kBlocks;
  if (options.app->count("-k") > 0) answers.classes_a_line = static_cast<std::size_t>(options.k);
  return answers;
}

std::unique_ptr<ClassFolders> class_folders(const Options& options, const Model& model) {
  if (options.sort_into.empty()) return nullptr;
  const SortMode mode = options.sort_mode == "copy"      ? SortMode::kCopy
                        : options.sort_mode == "symlink" ? SortMode::kSymlink
                                                         : SortMode::kHardlink;
  return std::make_unique<ClassFolders>(options.sort_into, mode, model.labels());
}

int run(const Options& options) {
  const ImageArguments arguments(options.images);
  const std::vector<Image>& images = arguments.images();
  if (!options.sort_into.empty() && std::ranges::any_of(images, [](const Image& one) { return one.name() == "-"; })) {
    throw UsageError("--sort-into: expected photos in files, found \"-\", the photo on standard input");
  }
  const std::string file = options.arguments.model_file();
  Classifier classifier(file, options.arguments.classifier_options());
  for (const std::string& sentence : classifier.notices()) notice(sentence);
  const std::unique_ptr<ClassFolders> folders = class_folders(options, classifier.model());

  Answers answers(answer_options(options, images.size()));
  std::size_t broken = 0;
  // A bar between lines of results on one terminal would only flicker.
  std::optional<Progress> progress;
  if (options.json || !prints_to_terminal()) progress.emplace(images.size());
  classifier.classify(images, options.k, [&](const ImageResult& result) {
    const std::string& image = images[result.image].name();
    if (!result.error.empty()) {
      ++broken;
      if (progress) progress->clear();
      notice(result.error);
    } else if (folders) {
      const std::int32_t best = result.predictions.front().index;
      folders->put(image, answers.is_unsure(result) ? std::nullopt : std::optional(best));
    }
    answers.add(image, result);
    if (progress) progress->step();
  });
  if (progress) progress->clear();
  answers.finish(file);
  if (folders) notice("[sort] " + folders->summary());
  if (broken > 0 && images.size() > 1) {
    notice(fmt::format("[classify] {} of {} photos could not be classified", broken, images.size()));
  }
  return broken > 0 ? 1 : 0;
}

void add_forms(CLI::App& app, Options& options) {
  CLI::Option* json = app.add_flag("--json", options.json, "Print one JSON object");
  CLI::Option* jsonl =
      app.add_flag("--jsonl", options.jsonl, "Print one JSON object per line, each as soon as it is ready");
  CLI::Option* csv = app.add_flag("--csv", options.csv,
                                  "Print a CSV table of each photo's best class: image,label,probability,index,error");
  CLI::Option* oneline = app.add_flag(
      "--oneline", options.oneline,
      fmt::format("Print one line per photo: the best class, or the first N with -k N. Default for {} photos or more",
                  kManyPhotos));
  CLI::Option* blocks = app.add_flag(
      "--blocks", options.blocks,
      fmt::format("Print a line for each class below the photo's. Default for fewer than {} photos", kManyPhotos));
  jsonl->excludes(json);
  csv->excludes(json)->excludes(jsonl);
  oneline->excludes(json)->excludes(jsonl)->excludes(csv);
  blocks->excludes(json)->excludes(jsonl)->excludes(csv)->excludes(oneline);
}

void add_sorting(CLI::App& app, Options& options) {
  CLI::Option* into =
      app.add_option(
             "--sort-into", options.sort_into,
             "Put each photo into DIR/CLASS, or DIR/unsure below the threshold; existing files are never overwritten")
          ->type_name("DIR");
  app.add_option("--sort-mode", options.sort_mode,
                 "How --sort-into puts them there: copy, symlink or hardlink (on one file system)")
      ->check(CLI::IsMember({"copy", "symlink", "hardlink"}))
      ->capture_default_str()
      ->needs(into);
}

}  // namespace

Command add_classify(CLI::App& program) {
  CLI::App* app = program.add_subcommand("classify", "Classify photos");
  const auto options = std::make_shared<Options>();
  options->app = app;
  options->arguments.add_model(*app);
  add_image_list(*app, options->images);
  app->add_option("-k", options->k, "Number of classes to show, most probable first")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app->add_option("--threshold", options->threshold, "Answer \"unsure\" when the best class is less probable than this")
      ->check(CLI::Range(0.0, 1.0));
  add_forms(*app, *options);
  add_sorting(*app, *options);
  options->arguments.add_running(*app);
  return {app, [options] { return run(*options); }};
}

}  // namespace gcvit::cli
