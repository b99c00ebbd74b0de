// SPDX-License-Identifier: Apache-2.0
#include "cli/evaluation_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <utility>

#include "cli/arguments.h"
#include "data/image_set.h"
#include "explain/grad_cam_picture.h"
#include "inference/model_state.h"
#include "inference/session_state.h"
#include "report/run_report.h"
#include "train/results.h"

namespace gcvit::cli {
namespace {

constexpr std::size_t kShownMistakes = 24;
constexpr std::size_t kShownSamples = 12;

const std::string& checked(const std::string& path) {
  if (path.ends_with(".html") || path.ends_with(".htm")) return path;
  throw UsageError("--report: expected a file whose name ends in .html, found " + path);
}

/// The last folder of a path and what is in it: "mine/best.safetensors".
std::string last_parts(const std::string& path) {
  const std::filesystem::path whole = std::filesystem::path(path).lexically_normal();
  return (whole.parent_path().filename() / whole.filename()).string();
}

std::string photos_fact(const data::ImageSet& images, const evaluate::LabelledImages& wanted) {
  std::string text = fmt::format("{}: {}", wanted.path, images.samples.size());
  if (!wanted.list.empty()) return text + " that " + wanted.list + " names";
  if (wanted.split) text += fmt::format(" of its {} split", data::name_of(*wanted.split));
  return text;
}

std::vector<report::Fact> commands_of(const evaluate::LabelledImages& wanted, const std::string& model_file) {
  const std::string model = train::shell_word(model_file);
  std::string eval = "gcvit eval " + train::shell_word(wanted.path);
  if (!wanted.list.empty()) eval += " --list " + train::shell_word(wanted.list);
  if (wanted.split) eval += fmt::format(" --side {}", data::name_of(*wanted.split));
  if (wanted.by_index) eval += " --by-index";
  return {
      {"Write the answer about each photo to a file", fmt::format("{} -m {} --predictions answers.csv", eval, model)},
      {"Name what a photo shows", fmt::format("gcvit classify -m {} photo.jpg", model)}};
}

}  // namespace

EvaluationReport::EvaluationReport(const std::string& path, Explainer& explainer, bool explain,
                                   const data::ImageSet& images)
    : file_(checked(path)),
      explainer_(explainer),
      explain_(explain),
      images_(images),
      temperature_(explainer.model().state().info.temperature.value_or(1.0)),
      mistakes_(temperature_, kShownMistakes),
      sample_places_(report::spread_out(images.samples.size(), kShownSamples)) {}

void EvaluationReport::add(const ImageLogits& image) {
  const std::int32_t label = images_.samples[image.image].label;
  mistakes_.add(image.image, label, image.logits);
  if (std::ranges::binary_search(sample_places_, image.image)) {
    samples_.push_back(report::example_of(image.image, label, image.logits, temperature_));
  }
}

void EvaluationReport::write(const evaluate::Evaluation& evaluation, const evaluate::LabelledImages& wanted,
                             const std::string& model_file) {
  const Model::State& model = explainer_.model().state();
  const model::GCViTConfig& config = model.config();
  report::RunReport page;
  page.title = fmt::format("{} on {}", last_parts(model_file), last_parts(wanted.path));
  page.facts = {{"model", fmt::format("{}: images of {}x{}, {} classes", model_file, config.image_height,
                                      config.image_width, config.classes)},
                {"photos", photos_fact(images_, wanted)},
                {"measured", report::utc_now()}};
  page.photos = "photos";
  page.classes = model.labels;
  page.metrics = evaluation.metrics;
  page.uncalibrated = evaluation.uncalibrated;
  page.temperature = model.info.temperature;
  page.skipped = evaluation.skipped;
  page.mistakes = mistakes_.found();
  page.samples = samples_;
  const auto sample_of = [&](std::size_t image) -> const data::Sample& { return images_.samples[image]; };
  const image::DecodeOptions& decode = explainer_.session().state().preparation.decode;
  report::Explain explain;
  if (explain_) explain = std::bind_front(explain::grad_cam_picture, std::ref(explainer_));
  report::add_pictures(page.mistakes, sample_of, decode, explain);
  report::add_pictures(page.samples, sample_of, decode);
  page.commands = commands_of(wanted, model_file);
  file_.write(report::report_html(page));
  file_.commit();
}

}  // namespace gcvit::cli
