// SPDX-License-Identifier: Apache-2.0
// gcvit similar: the photos of an index that are nearest to given ones.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/image_arguments.h"
#include "cli/output.h"
#include "explain/feature_index.h"
#include "explain/image_features.h"
#include "explain/nearest.h"
#include "inference/preprocessing.h"
#include "inference/run_images.h"
#include "inference/session_state.h"

namespace gcvit::cli {
namespace {

/// Fingerprints of one model differ by rounding alone (precision, SIMD target, stored type); those of two models by as much as they are long.
constexpr double kSameModel = 0.1;
/// Photos whose features wait for the search, so that an index is read once for many.
constexpr std::size_t kTogether = 256;

struct Options {
  ModelArguments arguments;
  std::string index;
  std::vector<std::string> images;
  int k = 5;
  bool json = false;
  bool csv = false;
};

/// |a - b| / |a|.
double relative_difference(std::span<const float> a, std::span<const float> b) {
  double difference = 0;
  double length = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(double{a[i]} - double{b[i]}, 2);
    length += std::pow(double{a[i]}, 2);
  }
  return std::sqrt(difference / std::max(length, 1e-30));
}

/// Throws `Error` unless the index holds features of this model.
void check_index(const explain::FeatureIndex& index, const std::string& file, Session& session,
                 const std::string& model) {
  const auto size = static_cast<std::int64_t>(session.shape_of(Feature::kPooled).size());
  const Dims& dims = index.features.dims();
  if (dims.size() != 2) {
    fail("[similar] {}: expected pooled vectors [N, {}], found maps {}", file, size, to_string(dims));
  }
  if (dims[1] != size) {
    fail("[similar] {}: expected vectors of {} floats as {} makes them, found {}", file, size, model, dims[1]);
  }
  const explain::FeatureSource& source = index.source;
  if (source.fingerprint.empty()) return;
  if (source.fingerprint.size() != static_cast<std::size_t>(size) ||
      relative_difference(explain::fingerprint(session), source.fingerprint) > kSameModel) {
    fail("[similar] {}: expected features that {} makes, found those of another model, {}", file, model, source.model);
  }
  const std::string preprocessing = inference::to_json(session.state().preparation.preprocess);
  if (source.preprocessing != preprocessing) {
    fail("[similar] {}: expected photos prepared by {}, found {}", file, preprocessing, source.preprocessing);
  }
}

/// Prints answers as they are found; JSON at the end.
class SimilarPhotos {
 public:
  SimilarPhotos(const Options& options, const explain::FeatureIndex& index) : options_(options), index_(index) {
    if (options.csv) print_csv_row(std::array<std::string, 5>{"image", "rank", "neighbour", "similarity", "row"});
  }

  void add(const std::string& image, const std::vector<explain::Neighbour>& neighbours) {
    Json found = Json::array();
    std::string block = printable(image) + "\n";
    for (std::size_t i = 0; i < neighbours.size(); ++i) {
      const auto [row, similarity] = neighbours[i];
      const std::string& name = index_.images[row];
      if (options_.csv) {
        print_csv_row(std::array<std::string, 5>{image, std::to_string(i + 1), name, fmt::format("{:.6f}", similarity),
                                                 std::to_string(row)});
      } else if (options_.json) {
        found.push_back({{"image", name}, {"similarity", similarity}, {"row", row}});
      } else {
        block += fmt::format(" {:7.4f}  {}\n", similarity, printable(name));
      }
    }
    if (options_.json) results_.push_back({{"image", image}, {"neighbours", std::move(found)}});
    if (!options_.json && !options_.csv) print(block);
  }
  void add_error(const std::string& image, std::string_view error) {
    errors_.push_back({{"image", image}, {"error", error}});
  }
  std::size_t errors() const { return errors_.size(); }

  void finish(const std::string& model) {
    if (!options_.json) return;
    print_json({{"index", options_.index}, {"model", model}, {"results", std::move(results_)}, {"errors", errors_}});
  }

 private:
  const Options& options_;
  const explain::FeatureIndex& index_;
  Json results_ = Json::array();
  Json errors_ = Json::array();
};

int run(const Options& options) {
  const ImageArguments arguments(options.images);
  const std::vector<Image>& images = arguments.images();
  const explain::FeatureIndex index = explain::read_feature_index(options.index);
  const std::string file = options.arguments.model_file();
  Session session(options.arguments.open(file), options.arguments.session_options());
  check_index(index, options.index, session, file);

  const std::size_t size = session.shape_of(Feature::kPooled).size();
  ThreadPool& pool = session.state().engine.pool();
  SimilarPhotos answers(options, index);
  std::vector<std::size_t> waiting;
  std::vector<float> queries;
  const auto search = [&] {
    const auto nearest =
        explain::nearest_rows(index.features.values(), queries, size, static_cast<std::size_t>(options.k), pool);
    for (std::size_t i = 0; i < waiting.size(); ++i) answers.add(images[waiting[i]].name(), nearest[i]);
    waiting.clear();
    queries.clear();
  };
  explain::features_of_images(session, images, Feature::kPooled, options.arguments.options.batch,
                              [&](std::size_t image, std::span<const float> values, std::string_view error) {
                                if (!error.empty()) {
                                  notice(error);
                                  answers.add_error(images[image].name(), error);
                                  return;
                                }
                                waiting.push_back(image);
                                queries.insert(queries.end(), values.begin(), values.end());
                                if (waiting.size() == kTogether) search();
                              });
  search();
  answers.finish(file);
  return answers.errors() > 0 ? 1 : 0;
}

}  // namespace

Command add_similar(CLI::App& program) {
  CLI::App* app = program.add_subcommand(
      "similar", "Find the photos of an index, written by features, that are most alike to others");
  const auto options = std::make_shared<Options>();
  options->arguments.add_model(*app);
  app->add_option("index", options->index, "The .npz that `gcvit features` wrote with the same model")
      ->required()
      ->type_name("INDEX.npz");
  add_image_list(*app, options->images);
  app->add_option("-k", options->k, "Number of photos to show for each, most similar first")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  add_json(*app, options->json);
  app->add_flag("--csv", options->csv, "Print a CSV table: image,rank,neighbour,similarity,row")->excludes("--json");
  options->arguments.add_running(*app);
  return {app, [options] { return run(*options); }};
}

}  // namespace gcvit::cli
