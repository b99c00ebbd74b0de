// SPDX-License-Identifier: Apache-2.0
// gcvit eval: how well a model does on labelled photos.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/evaluation_report.h"
#include "cli/output.h"
#include "cli/predictions_file.h"
#include "data/source_summary.h"
#include "evaluate/evaluate.h"
#include "gcvit/explain.h"
#include "inference/model_state.h"
#include "inference/run_images.h"
#include "base/build_options.h"
#include "base/memory.h"
#include "base/printable.h"

namespace gcvit::cli {
namespace {

/// Beyond this many columns the most frequent confusions are listed instead of the matrix.
constexpr std::size_t kWidestMatrix = 20;
constexpr std::size_t kShownConfusions = 20;

constexpr double kJsonCell = 32.0;  ///< bytes of a number of the matrix, as a value and as text

struct Options {
  ModelArguments arguments;
  evaluate::LabelledImages images;
  std::string side;
  bool json = false;
  std::string predictions;
  std::string report;
  bool no_explain = false;
};

using Labels = std::vector<std::string>;

Json to_json(const evaluate::Evaluation& evaluation, const std::optional<double>& temperature, const Labels& labels) {
  const evaluate::Metrics& metrics = evaluation.metrics;
  Json json = {{"top1", metrics.top1()},     {"top5", metrics.top5()},
               {"loss", metrics.loss()},     {"ece", metrics.calibration_error()},
               {"count", metrics.count()},   {"skipped", evaluation.skipped},
               {"per_class", Json::array()}, {"confusion", Json::array()}};
  if (evaluation.uncalibrated) {
    json["ece_uncalibrated"] = evaluation.uncalibrated->calibration_error();
    json["temperature"] = *temperature;
  }
  const auto classes = static_cast<std::int32_t>(labels.size());
  for (std::int32_t row = 0; row < classes; ++row) {
    const evaluate::ClassCount& one = metrics.per_class()[static_cast<std::size_t>(row)];
    json["per_class"].push_back(
        {{"label", labels[static_cast<std::size_t>(row)]}, {"count", one.count}, {"correct", one.correct}});
    Json columns = Json::array();
    for (std::int32_t column = 0; column < classes; ++column) columns.push_back(metrics.confusion(row, column));
    json["confusion"].push_back(std::move(columns));
  }
  return json;
}

/// `text` and spaces up to `width` columns.
std::string padded(const std::string& text, std::size_t width) {
  return text + std::string(width - std::min(width, columns_of(text)), ' ');
}

std::string matrix_text(const evaluate::Metrics& metrics, const Labels& labels, std::size_t name_width) {
  std::string text = "confusion (rows: what it is, columns: what it was taken for)\n" + padded("", name_width);
  const auto classes = static_cast<std::int32_t>(labels.size());
  std::int64_t largest = 0;
  for (const evaluate::ClassCount& one : metrics.per_class()) largest = std::max(largest, one.count);
  const std::size_t width = std::max<std::size_t>(std::to_string(largest).size(), 4) + 2;
  for (std::int32_t column = 0; column < classes; ++column) text += fmt::format("{:>{}}", column, width);
  text += "\n";
  for (std::int32_t row = 0; row < classes; ++row) {
    text += padded(fmt::format("{:>3} {}", row, labels[static_cast<std::size_t>(row)]), name_width);
    for (std::int32_t column = 0; column < classes; ++column) {
      text += fmt::format("{:>{}}", metrics.confusion(row, column), width);
    }
    text += "\n";
  }
  return text;
}

std::string commonest_confusions(const evaluate::Metrics& metrics, const Labels& labels) {
  const std::vector<evaluate::Confusion> all = evaluate::commonest_confusions(metrics, kShownConfusions);
  std::string text = all.empty() ? "" : "commonest confusions (--json has the whole matrix)\n";
  for (const evaluate::Confusion& one : all) {
    text += fmt::format("{:>6} times {} taken for {}\n", one.count, labels[static_cast<std::size_t>(one.row)],
                        labels[static_cast<std::size_t>(one.column)]);
  }
  return text;
}

std::string to_text(const evaluate::Evaluation& evaluation, const std::optional<double>& temperature, Labels labels) {
  for (std::string& label : labels) label = printable(label);
  const evaluate::Metrics& metrics = evaluation.metrics;
  std::string text;
  const auto fraction = [&](std::string_view name, double value, std::int64_t correct) {
    text += fmt::format("{:<22}{:6.2f} %  ({} of {})\n", name, 100.0 * value, with_commas(correct),
                        with_commas(metrics.count()));
  };
  fraction("top-1", metrics.top1(), metrics.top1_correct());
  fraction("top-5", metrics.top5(), metrics.top5_correct());
  text += fmt::format("{:<22}{:6.4f}\n", "loss", metrics.loss());
  text += fmt::format("{:<22}{:6.4f}", "calibration error", metrics.calibration_error());
  if (evaluation.uncalibrated) {
    text += fmt::format("    ({:.4f} without the fitted temperature {:.3g})",
                        evaluation.uncalibrated->calibration_error(), *temperature);
  }
  text += "\n";
  if (evaluation.skipped > 0) text += fmt::format("{:<22}{:6}\n", "skipped", evaluation.skipped);

  std::size_t name_width = 5;
  for (const std::string& label : labels) name_width = std::max(name_width, columns_of(label));
  text += "\n" + padded("class", name_width) + "   photos  correct  accuracy\n";
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const evaluate::ClassCount& one = metrics.per_class()[i];
    if (one.count == 0) continue;
    text += fmt::format("{}  {:>7}  {:>7}  {:6.2f} %\n", padded(labels[i], name_width), one.count, one.correct,
                        100.0 * static_cast<double>(one.correct) / static_cast<double>(one.count));
  }
  text += "\n";
  return text + (labels.size() <= kWidestMatrix ? matrix_text(metrics, labels, name_width + 4)
                                                : commonest_confusions(metrics, labels));
}

LabelledAnswer answer_of(const Model& model, const data::ImageSet& images, const ImageLogits& image) {
  const data::Sample& sample = images.samples[image.image];
  const Prediction best = model.predictions(image.logits, 1).front();
  return {.image = sample.name,
          .label = model.labels()[static_cast<std::size_t>(sample.label)],
          .predicted = best.label,
          .probability = best.probability,
          .correct = best.index == sample.label};
}

int run(const Options& options) {
  const Model model = options.arguments.open(options.arguments.model_file());
  Explainer explainer(model, options.arguments.session_options());
  Session& session = explainer.session();
  if (options.json) {  // has the whole confusion matrix
    const auto classes = static_cast<double>(model.labels().size());
    check_memory(kJsonCell * classes * classes, options.arguments.options.max_memory,
                 fmt::format("the confusion matrix of {} classes in JSON", model.labels().size()));
  }
  evaluate::LabelledImages wanted = options.images;
  if (!options.side.empty()) wanted.split = data::split_of_word(options.side);
  const data::ImageSet images = evaluate::read_labelled_images(model, wanted);
  for (const std::string& line : data::describe(data::summarise(images))) notice("[data] " + line);
  for (const std::string& sentence : images.notices) notice("[data] " + sentence);

  std::optional<PredictionsFile> predictions;
  if (!options.predictions.empty()) predictions.emplace(options.predictions);
  std::unique_ptr<EvaluationReport> report;
  if constexpr (kWithTraining) {
    if (!options.report.empty()) {
      report = std::make_unique<EvaluationReport>(options.report, explainer, !options.no_explain, images);
    }
  }
  Progress progress(images.samples.size());
  const evaluate::Evaluation evaluation =
      evaluate::evaluate(session, options.arguments.options.batch, images, [&](const ImageLogits& image) {
        if (!image.error.empty()) {
          progress.clear();
          notice(image.error);
        } else {
          if (predictions) predictions->add(answer_of(model, images, image));
          if constexpr (kWithTraining) {
            if (report) report->add(image);
          }
        }
        progress.step();
      });
  progress.clear();
  if (predictions) predictions->commit();
  if constexpr (kWithTraining) {
    if (report) report->write(evaluation, wanted, options.arguments.model_file());
  }
  if (options.json) {
    print_json(to_json(evaluation, model.state().info.temperature, model.labels()));
  } else {
    print(to_text(evaluation, model.state().info.temperature, model.labels()));
  }
  return evaluation.skipped > 0 ? 1 : 0;
}

}  // namespace

Command add_eval(CLI::App& program) {
  CLI::App* app = program.add_subcommand(
      "eval", "Measure a model's accuracy on labelled photos: class folders, a CSV list or shards");
  const auto options = std::make_shared<Options>();
  options->arguments.add_model(*app);
  app->add_option("data", options->images.path, "Labelled photos")->required()->type_name("DATA");
  app->add_option(
         "--list", options->images.list,
         "Use only the photos that this file names, one path relative to DATA per line, such as a run's val.txt")
      ->type_name("FILE");
  app->add_option("--side", options->side,
                  "Use only this split of DATA; default: the validation split if DATA has one, else all photos")
      ->check(CLI::IsMember({"train", "validation", "test"}))
      ->type_name("SIDE");
  app->add_flag("--by-index", options->images.by_index,
                "Match classes by their order when their names aren't the model's: the first is the model's class 0");
  add_json(*app, options->json);
  app->add_option(
         "--predictions", options->predictions,
         "Write the answer about each photo to this file, .csv or .jsonl: image, label, predicted, probability, "
         "correct")
      ->type_name("FILE");
  if constexpr (kWithTraining) {
    app->add_option(
           "--report", options->report,
           "Write a page for a browser to this file, .html: metrics, confusion, reliability, the surest mistakes "
           "as pictures, each with Grad-CAM")
        ->type_name("FILE");
    app->add_flag("--no-explain", options->no_explain, "Leave out Grad-CAM beside the mistakes in the report")
        ->needs("--report");
  }
  options->arguments.add_running(*app);
  return {app, [options] { return run(*options); }};
}

}  // namespace gcvit::cli
