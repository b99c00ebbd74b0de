// SPDX-License-Identifier: Apache-2.0
#include "train/results.h"

#include <filesystem>
#include <functional>
#include <system_error>
#include <vector>

#include "explain/grad_cam_picture.h"
#include "gcvit/explain.h"
#include "inference/run_images.h"
#include "inference/session_state.h"
#include "evaluate/temperature.h"
#include "summary/table.h"
#include "base/error.h"
#include "base/printable.h"
#include "weights/load.h"

namespace gcvit::train {
namespace {

constexpr std::size_t kShownMistakes = 18;
constexpr std::size_t kShownSamples = 18;

/// The validation photos that could be read, and their logits.
struct Answers {
  evaluate::LabelledLogits logits;
  std::vector<std::size_t> samples;  ///< which of the set each is
};

Answers ask(Session& session, const Prepared& prepared, const std::function<void(std::int64_t done)>& progress) {
  const std::vector<std::size_t>& validation = prepared.split.validation;
  Answers answers{evaluate::LabelledLogits(session.model().classes()), {}};
  const auto decode = [&](std::size_t image) {
    return data::decode_sample(prepared.set.samples[validation[image]], session.state().preparation.decode);
  };
  std::int64_t done = 0;
  const auto name = [&](std::size_t image) { return data::describe(prepared.set.samples[validation[image]]); };
  inference::run_images(session, ClassifierOptions().batch, validation.size(), decode, name,
                        [&](const ImageLogits& image) {
                          if (image.overflowed) throw Error(image.error);
                          if (image.error.empty()) {
                            const std::size_t sample = validation[image.image];
                            answers.logits.add(prepared.set.samples[sample].label, image.logits);
                            answers.samples.push_back(sample);
                          }
                          progress(++done);
                        });
  return answers;
}

void store_temperature(const std::string& file, std::optional<double> temperature) {
  weights::LoadedModel model = weights::load_model(file);
  model.info.temperature = temperature;
  weights::save_model(file, *model.model, model.info);
}

std::string count_of(std::size_t count) { return summary::with_commas(static_cast<std::int64_t>(count)); }

/// "runs/flowers/" -> "flowers"; the folder's own name for ".".
std::string name_of_run(const std::string& folder) {
  std::error_code error;
  std::filesystem::path path = std::filesystem::absolute(folder, error).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return path.filename().string();
}

/// "runs/a.keras" -> "a"; "runs/flowers/" -> "flowers".
std::string short_name(const std::string& path) {
  std::filesystem::path all(path);
  if (!all.has_filename()) all = all.parent_path();
  return all.stem().string();
}

/// The start as `-m` or `--variant` named it, without the flag.
std::string start_name(const RunState& state) { return state.weights.substr(state.weights.find(' ') + 1); }

/// Every setting that is on.
std::string recipe_text(const Recipe& recipe) {
  std::string text = recipe.recipe;
  const nlohmann::ordered_json json = to_json(recipe);
  for (const auto& [name, value] : json.items()) {
    const bool off = value.is_null() || value == false || value == 0 || value == "" || value == "none";
    if (off || name == "recipe") continue;
    text += value == true ? fmt::format(", {}", name)
                          : fmt::format(", {} {}", name, value.is_string() ? value.get<std::string>() : value.dump());
  }
  return text;
}

std::vector<report::Fact> facts_of(const RunState& state, const Prepared& prepared) {
  const model::GCViTConfig& config = prepared.info.config;
  std::int64_t parameters = 0;
  for (const ops::Parameter* parameter : prepared.model->parameters()) parameters += parameter->tensor.size();
  std::vector<report::Fact> facts = {
      {"model", fmt::format("{}: {} parameters, images of {}x{}, {} classes", start_name(state),
                            summary::with_commas(parameters), config.image_height, config.image_width, config.classes)},
      {"photos", fmt::format("{}: {} to train on, {} to validate", state.data, count_of(state.train.size()),
                             count_of(state.validation.size()))}};
  if (!state.skipped.empty()) facts.push_back({"skipped", count_of(state.skipped.size()) + " that can't be read"});
  if (state.recipe.linear_probe) {
    facts.push_back({"trained", "the head alone, on features that the model's other parameters gave once"});
  }
  facts.push_back({"recipe", recipe_text(state.recipe)});
  facts.push_back({"finished", report::utc_now()});
  return facts;
}

std::vector<report::Fact> commands_of(const RunState& state, const RunFolder& folder) {
  const std::string best = shell_word(folder / "best.safetensors");
  const std::string list = folder / "val.txt";
  std::error_code error;
  // Other photos of DATA trained the model, which knows their answers.
  const report::Fact measure =
      std::filesystem::file_size(list, error) > 0 && !error
          ? report::Fact{"Measure it on the validation photos, which it wasn't trained on",
                         fmt::format("gcvit eval {} --list {} -m {}", shell_word(state.data), shell_word(list), best)}
          : report::Fact{"Measure it on photos that it wasn't trained on, a folder with one of its own for each class",
                         fmt::format("gcvit eval PHOTOS -m {}", best)};
  return {{"Name what a photo shows", fmt::format("gcvit classify -m {} photo.jpg", best)},
          measure,
          {"Look at the run in TensorBoard", fmt::format("tensorboard --logdir {}", shell_word(folder.path()))},
          {"Go on with a run that was interrupted, or write these results again",
           resume_command(state.data, folder.path())}};
}

}  // namespace

std::string shell_word(std::string_view text) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./+,=@%";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string_view::npos) return std::string(text);
  if (printable(text) != text) {
    std::string word = "$'";
    for (const char letter : text) {
      const bool plain = letter >= ' ' && letter <= '~' && letter != '\'' && letter != '\\';
      word += plain ? std::string(1, letter) : fmt::format("\\x{:02x}", static_cast<unsigned char>(letter));
    }
    return word + "'";
  }
  std::string word = "'";
  for (const char letter : text) word += letter == '\'' ? std::string("'\\''") : std::string(1, letter);
  return word + "'";
}

std::string resume_command(const std::string& data, const std::string& folder) {
  return fmt::format("gcvit train {} -o {} --resume", shell_word(data), shell_word(folder));
}

report::RunReport write_results(const RunFolder& folder, const RunState& state, const Prepared& prepared,
                                const ResultsOptions& options) {
  report::RunReport results;
  results.title =
      fmt::format("{}: {} on {}", name_of_run(folder.path()), short_name(start_name(state)), short_name(state.data));
  results.facts = facts_of(state, prepared);
  results.rows = state.rows;
  if (state.recipe.linear_probe) results.feature_seconds = options.feature_seconds;
  results.classes = prepared.info.classes;
  results.commands = commands_of(state, folder);
  if (!prepared.split.validation.empty()) {
    const std::string best = folder / "best.safetensors";
    Explainer explainer(Model::open(best, {.threads = options.threads, .max_memory = options.max_memory}),
                        {.images = {.max_pixels = state.recipe.max_pixels}});
    Session& session = explainer.session();
    const Answers answers = ask(session, prepared, options.progress);
    results.classes = session.model().labels();
    results.best_epoch = state.best ? state.best->epoch : 0;
    const evaluate::Calibration calibration = evaluate::calibrate(answers.logits);
    results.temperature = calibration.temperature;
    results.why_no_temperature = calibration.reason;
    const double temperature = results.temperature.value_or(1.0);
    results.uncalibrated = answers.logits.metrics();
    results.metrics = answers.logits.metrics(temperature);
    results.mistakes = report::surest_mistakes(answers.logits, temperature, kShownMistakes);
    results.samples = report::samples_of(answers.logits, temperature, kShownSamples);
    const auto sample_of = [&](std::size_t image) -> const data::Sample& {
      return prepared.set.samples[answers.samples[image]];
    };
    report::Explain explain;
    if (options.explain) explain = std::bind_front(explain::grad_cam_picture, std::ref(explainer));
    const image::DecodeOptions& decode = session.state().preparation.decode;
    report::add_pictures(results.mistakes, sample_of, decode, explain);
    report::add_pictures(results.samples, sample_of, decode);
    store_temperature(best, results.temperature);
  }
  report::write_run_report(folder.path(), results);
  return results;
}

}  // namespace gcvit::train
