// SPDX-License-Identifier: Apache-2.0
// gcvit explain: what on a photo spoke for a class, as a picture and as numbers.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/printable.h"
#include "base/resource_error.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/image_arguments.h"
#include "cli/output.h"
#include "explain/class_name.h"
#include "explain/overlay.h"
#include "explain/photo_map.h"
#include "formats/npy.h"
#include "gcvit/explain.h"
#include "image/encode.h"
#include "inference/run_images.h"
#include "inference/session_state.h"

namespace gcvit::cli {
namespace {

struct Options {
  CLI::App* app = nullptr;
  ModelArguments arguments;
  std::vector<std::string> images;
  std::string output;
  std::string method = "grad-cam";
  std::vector<std::string> classes;
  bool probability = false;
  int level = 0;
  std::optional<int> block;
  std::optional<int> head;
  int patch = 0;
  int stride = 0;
  std::string colours = "viridis";
  OverlayOptions overlay;
  bool json = false;
};

/// Throws `UsageError` where a flag was given that this method doesn't know.
void check_flags(const Options& options) {
  struct Flag {
    const char* name;
    std::vector<std::string_view> methods;
  };
  const Flag flags[] = {{"--class", {"grad-cam", "occlusion"}},
                        {"--probability", {"grad-cam", "occlusion"}},
                        {"--level", {"grad-cam", "attention"}},
                        {"--block", {"attention"}},
                        {"--head", {"attention"}},
                        {"--patch", {"occlusion"}},
                        {"--stride", {"occlusion"}},
                        {"--batch", {"occlusion"}}};
  for (const Flag& flag : flags) {
    if (options.app->count(flag.name) == 0 || std::ranges::count(flag.methods, options.method) > 0) continue;
    throw UsageError(
        fmt::format("{}: expected --method {}, found {}", flag.name, fmt::join(flag.methods, " or "), options.method));
  }
}

/// One target for each panel; without classes the most probable one.
std::vector<std::optional<std::int32_t>> targets_of(const Options& options, const Explainer& explainer) {
  if (options.classes.empty()) return {std::nullopt};
  std::vector<std::optional<std::int32_t>> targets;
  for (const std::string& wanted : options.classes) targets.emplace_back(explain::class_of(explainer.model(), wanted));
  return targets;
}

std::vector<Explanation> explain_tensor(const Options& options, Explainer& explainer, std::span<const float> tensor,
                                        const std::vector<std::optional<std::int32_t>>& targets) {
  const ExplainedScore score = options.probability ? ExplainedScore::kProbability : ExplainedScore::kLogit;
  if (options.method == "attention") {
    AttentionOptions attention;
    if (options.level > 0) attention.level = options.level;
    attention.block = options.block;
    attention.head = options.head;
    return {explainer.attention(tensor, attention)};
  }
  std::vector<Explanation> explanations;
  for (const std::optional<std::int32_t>& target : targets) {
    if (options.method == "grad-cam") {
      explanations.push_back(explainer.grad_cam(
          tensor, {.target = target, .score = score, .level = options.level, .keep_gradient_weights = true}));
      continue;
    }
    std::optional<Progress> progress;
    OcclusionOptions occlusion;
    occlusion.target = target;
    occlusion.score = score;
    occlusion.patch = options.patch;
    occlusion.stride = options.stride;
    occlusion.batch = options.arguments.options.batch;
    occlusion.progress = [&](std::size_t done, std::size_t patches) {
      if (!progress) progress.emplace(patches);
      progress->set(done);
    };
    explanations.push_back(explainer.occlusion(tensor, occlusion));
    if (progress) progress->clear();
  }
  return explanations;
}

/// Where the results of a photo go: paths without their endings.
class Outputs {
 public:
  /// OUT.png names one picture; another name is a folder with a picture a photo. Throws `UsageError` when one picture is wanted of several
  /// photos, `Error` when the folder can't be made.
  Outputs(const std::string& output, std::span<const Image> photos) : folder_(output) {
    for (const Image& photo : photos) photos_.insert(std::filesystem::weakly_canonical(photo.name()));
    if (output.ends_with(".png")) {
      if (photos.size() != 1) {
        throw UsageError(fmt::format("--output: expected a folder for {} photos, found {}", photos.size(), output));
      }
      file_ = output.substr(0, output.size() - 4);
      return;
    }
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    if (error) fail(ErrorCode::kIo, "[explain] {}: can't make this folder: {}", output, error.message());
  }

  /// In a folder the photo's own name, with "-2", "-3", ... behind it where another photo has that too. Throws `Error` where the picture
  /// would replace one of the photos.
  std::string of(const std::string& photo) {
    const std::string base = file_.empty() ? in_folder(photo) : file_;
    if (photos_.contains(std::filesystem::weakly_canonical(base + ".png"))) {
      fail(ErrorCode::kInvalidArgument, "[explain] {}.png: expected another name than that of a photo to explain",
           base);
    }
    return base;
  }

 private:
  std::string in_folder(const std::string& photo) {
    const std::string own = photo == "-" ? "stdin" : std::filesystem::path(photo).stem().string();
    std::string name = own;
    for (int i = 2; !used_.insert(name).second; ++i) name = fmt::format("{}-{}", own, i);
    return (folder_ / name).string();
  }

  std::filesystem::path folder_;
  std::string file_;
  std::set<std::filesystem::path> photos_;
  std::set<std::string> used_;
};

/// The map of each class as a .npy: [H, W] of the photo's pixels.
std::vector<std::string> write_maps(const std::string& base, const std::vector<Explanation>& explanations,
                                    const image::Area& seen, const image::Image& photo) {
  std::vector<std::string> files;
  for (const Explanation& explanation : explanations) {
    files.push_back(explanations.size() == 1 ? base + ".npy" : fmt::format("{}.{}.npy", base, explanation.index));
    const explain::PhotoMap map(explanation, seen, photo.height, photo.width);
    formats::NpyWriter writer(files.back(), {photo.width});
    std::vector<float> row(static_cast<std::size_t>(photo.width));
    for (std::int32_t y = 0; y < photo.height; ++y) {
      map.row(y, row);
      writer.append(row);
    }
    writer.finish();
  }
  return files;
}

Json to_json(const Explanation& explanation, const std::string& map) {
  Json json = {{"method", name_of(explanation.method)}, {"level", explanation.level}};
  if (explanation.index >= 0) {
    json["index"] = explanation.index;
    json["label"] = explanation.label;
    json["score"] = explanation.score;
    json["score_is"] = name_of(explanation.of);
  }
  json["range"] = {explanation.lowest, explanation.highest};
  json["empty"] = !explain::has_evidence(explanation);
  json["map"] = map;
  return json;
}

/// A line for people.
std::string to_text(const std::string& photo, const Explanation& explanation, const std::string& picture) {
  std::string text = printable(photo) + ": ";
  if (explanation.index >= 0) {
    text += fmt::format("{}, {} {:.4g}, ", printable(explanation.label), name_of(explanation.of), explanation.score);
  }
  text += fmt::format("{}", name_of(explanation.method));
  if (explanation.level > 0) text += fmt::format(" at level {}", explanation.level);
  if (explain::has_evidence(explanation)) {
    text += fmt::format(", {:.4g} to {:.4g}", explanation.lowest, explanation.highest);
  } else {
    text += explanation.index >= 0 ? ", no evidence for it" : ", even attention";
  }
  return text + ": " + printable(picture) + "\n";
}

int run(Options& options) {
  check_flags(options);
  options.overlay.colours = options.colours == "inferno" ? ColourMap::kInferno : ColourMap::kViridis;
  const ImageArguments arguments(options.images);
  const std::vector<Image>& images = arguments.images();
  const std::string file = options.arguments.model_file();
  const ClassifierOptions classifier = options.arguments.classifier_options();
  Outputs outputs(options.output, images);
  const Model model = Model::open(file, inference::model_options_of(classifier));
  Explainer explainer(model, inference::session_options_of(classifier));
  for (const std::string& sentence : model.notices()) notice(sentence);
  const std::vector<std::optional<std::int32_t>> targets = targets_of(options, explainer);
  Session& session = explainer.session();
  const inference::Preparation& preparation = session.state().preparation;

  Json results = Json::array();
  Json errors = Json::array();
  std::vector<float> tensor(session.tensor_size());
  image::PreprocessScratch scratch;
  // Occlusion, which takes long, has a bar for each photo.
  std::optional<Progress> bar;
  if (options.method != "occlusion") bar.emplace(images.size());
  const auto clear = [&] {
    if (bar) bar->clear();
  };
  for (const Image& photo : images) {
    image::Image pixels;
    try {
      pixels = inference::decode(photo, preparation.decode);
      image::preprocess(pixels, preparation.preprocess, tensor, scratch);
    } catch (const ResourceError&) {
      throw;
    } catch (const Error& error) {
      clear();
      notice(error.what());
      errors.push_back({{"image", photo.name()}, {"error", error.what()}});
      if (bar) bar->step();
      continue;
    }
    const std::vector<Explanation> explanations = explain_tensor(options, explainer, tensor, targets);
    const image::Area seen = image::seen_area(pixels.height, pixels.width, preparation.preprocess);
    const std::string base = outputs.of(photo.name());
    const std::string picture = base + ".png";
    AtomicFile png(picture);
    png.write(image::encode_png(explain::overlay(pixels, seen, explanations, options.overlay)));
    const std::vector<std::string> maps = write_maps(base, explanations, seen, pixels);
    png.commit();
    Json shown = Json::array();
    clear();
    for (std::size_t i = 0; i < explanations.size(); ++i) {
      shown.push_back(to_json(explanations[i], maps[i]));
      if (!options.json) print(to_text(photo.name(), explanations[i], picture));
    }
    results.push_back({{"image", photo.name()}, {"overlay", picture}, {"explanations", std::move(shown)}});
    if (bar) bar->step();
  }
  clear();
  const std::size_t broken = errors.size();
  if (options.json) {
    print_json({{"model", file}, {"results", std::move(results)}, {"errors", std::move(errors)}});
  } else if (broken > 0 && images.size() > 1) {
    notice(fmt::format("[explain] {} of {} photos could not be explained", broken, images.size()));
  }
  return broken > 0 ? 1 : 0;
}

void add_method(CLI::App& app, Options& options) {
  app.add_option("--method", options.method,
                 "grad-cam: what raised the score; attention: where a block looks; occlusion: how the score falls when "
                 "a patch is covered")
      ->check(CLI::IsMember({"grad-cam", "attention", "occlusion"}))
      ->capture_default_str();
  app.add_option("--class", options.classes,
                 "Explain the score of this class, by name or index; several times for pictures side by side")
      ->type_name("CLASS")
      ->allow_extra_args(false)
      ->take_all()
      ->default_str("the most probable one");
  app.add_flag("--probability", options.probability, "Explain the class's probability instead of its logit");
  app.add_option("--level", options.level,
                 "grad-cam: use this level's map (1 to 4, before its downsample) instead of the one behind the final "
                 "normalisation; attention: the block's level, 3 by default")
      ->check(CLI::Range(1, 4));
  app.add_option("--block", options.block,
                 "attention: the block, from 0; even ones are local, odd ones look at the global query. Default: the "
                 "level's last global one")
      ->check(CLI::Range(0, 1000));
  app.add_option("--head", options.head, "attention: the head, from 0. Default: the mean of all heads")
      ->check(CLI::Range(0, 1000));
  app.add_option("--patch", options.patch,
                 "occlusion: side of the patch in input pixels. Default: a seventh of the shorter side")
      ->check(CLI::Range(1, 65535));
  app.add_option("--stride", options.stride, "occlusion: input pixels from patch to patch. Default: half a patch")
      ->check(CLI::Range(1, 65535));
}

}  // namespace

Command add_explain(CLI::App& program) {
  CLI::App* app = program.add_subcommand("explain", "Draw on photos what spoke for a class");
  const auto options = std::make_shared<Options>();
  options->app = app;
  options->arguments.add_model(*app);
  add_image_list(*app, options->images);
  app->add_option("-o,--output", options->output,
                  "The picture to write, OUT.png, beside it OUT.npy with the map; or a folder for several photos")
      ->required()
      ->type_name("OUT");
  add_method(*app, *options);
  app->add_option("--colours,--colors", options->colours, "Colours of the map: viridis or inferno")
      ->check(CLI::IsMember({"viridis", "inferno"}))
      ->capture_default_str();
  app->add_option("--opacity", options->overlay.opacity, "Opacity of the colours over the photo, 0 to 1")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  add_json(*app, options->json);
  options->arguments.add_images(*app);
  options->arguments.add_image_size(*app);
  options->arguments.add_batch(*app);
  options->arguments.add_dtype(*app);
  options->arguments.add_threads(*app);
  return {app, [options] { return run(*options); }};
}

}  // namespace gcvit::cli
