// SPDX-License-Identifier: Apache-2.0
// gcvit bench: how fast a model runs here, and which share of this machine's peak that is.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <memory>

#include "inference/engine.h"
#include "inference/precision.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/description.h"
#include "cli/output.h"
#include "gcvit/version.h"
#include "kernels/peak.h"
#include "kernels/target.h"
#include "model/initialise.h"
#include "summary/summary_backend.h"
#include "base/printable.h"
#include "base/random.h"
#include "weights/load.h"

namespace gcvit::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kSeed = 1;
constexpr std::size_t kFewestRuns = 5;
constexpr std::size_t kMostRuns = 10'000;

struct Options {
  ModelArguments arguments;
  std::string variant;
  std::vector<int> batches{1, 8, 32};
  std::vector<int> threads{0};
  std::vector<std::string> dtypes{"auto"};
  double seconds = 3.0;
  bool json = false;
};

struct Row {
  std::string_view dtype;
  int threads = 0;
  int batch = 0;
  double median = 0;  ///< seconds
  double p90 = 0;
  double images_per_second = 0;
  double gflops = 0;
  double percent_of_peak = 0;
};

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(std::min(line.find(':') + 2, line.size()));
  }
  return "unknown";
}

/// The model with its weights in the types that it is to compute in.
std::shared_ptr<const model::GCViT> load(const Options& options, const std::string& name, Precision precision) {
  weights::LoadOptions wanted = options.arguments.load_options();
  wanted.keep_types = true;
  wanted.before_values = [&](const model::GCViT& model) {
    const auto batch = static_cast<std::size_t>(*std::ranges::max_element(options.batches));
    const int threads = *std::ranges::max_element(options.threads);
    inference::Engine::check_memory(model, batch, threads, true, wanted.max_memory);
  };
  if (options.variant.empty()) {
    std::shared_ptr<model::GCViT> model = weights::load_model(name, wanted).model;
    inference::set_precision(precision, *model);
    return model;
  }
  model::GCViTConfig config = model::variant_config(name);
  if (wanted.image_size) config = model::with_image_size(config, *wanted.image_size, wanted.window_mode);
  auto model = std::make_shared<model::GCViT>(config);
  wanted.before_values(*model);
  model::initialise(*model, kSeed);
  inference::set_precision(precision, *model);
  return model;
}

std::int64_t macs_of(const model::GCViT& model) {
  summary::SummaryBackend summary;
  model.forward(summary, summary.input({model.config().image_height, model.config().image_width, 3}));
  return summary.macs();
}

/// The value that a share of the sorted values doesn't exceed (nearest rank).
double quantile(const std::vector<double>& sorted, double share) {
  const auto rank = static_cast<std::size_t>(share * static_cast<double>(sorted.size()) + 0.999999);
  return sorted[std::clamp<std::size_t>(rank, 1, sorted.size()) - 1];
}

Row measure(inference::Engine& engine, int batch, double seconds) {
  engine.check_memory(static_cast<std::size_t>(batch), static_cast<double>(batch * engine.input_size()));
  std::vector<float> input(static_cast<std::size_t>(batch * engine.input_size()));
  Random random(kSeed);
  for (float& value : input) value = random.normal();
  engine.run(input);  // packs weights and makes buffers
  std::vector<double> times;
  const Clock::time_point begin = Clock::now();
  do {
    const Clock::time_point start = Clock::now();
    engine.run(input);
    times.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  } while (times.size() < kMostRuns &&
           (times.size() < kFewestRuns || std::chrono::duration<double>(Clock::now() - begin).count() < seconds));
  std::sort(times.begin(), times.end());
  Row row;
  row.threads = engine.pool().size();
  row.batch = batch;
  row.median = quantile(times, 0.5);
  row.p90 = quantile(times, 0.9);
  row.images_per_second = batch / row.median;
  return row;
}

/// What has been measured, and this machine's peak in f32 with the largest number of threads.
struct Measured {
  std::vector<Row> rows;
  double peak = 0;
  int peak_threads = 0;
};

void measure_model(const Options& options, const std::shared_ptr<const model::GCViT>& model, Measured& measured) {
  const auto macs = static_cast<double>(macs_of(*model));
  const std::string_view dtype = inference::name_of(inference::precision_of(*model));
  for (const int threads : options.threads) {
    inference::Engine engine(model, std::make_shared<ThreadPool>(threads), options.arguments.options.max_memory);
    std::vector<Row> rows;
    double own_peak = 0;
    for (const int batch : options.batches) {
      // The peak is measured again before each row, and the highest counts: other work on the machine lowers both.
      own_peak = std::max(own_peak, kernels::measure_fma_gflops(engine.pool()));
      rows.push_back(measure(engine, batch, options.seconds));
    }
    own_peak = std::max(own_peak, kernels::measure_fma_gflops(engine.pool()));
    for (Row& row : rows) {
      row.dtype = dtype;
      row.gflops = 2e-9 * macs * row.images_per_second;
      row.percent_of_peak = 100.0 * row.gflops / own_peak;
      measured.rows.push_back(row);
    }
    if (engine.pool().size() >= measured.peak_threads) {
      measured.peak = engine.pool().size() > measured.peak_threads ? own_peak : std::max(measured.peak, own_peak);
      measured.peak_threads = engine.pool().size();
    }
  }
}

int run(const Options& options) {
  const std::string name = options.variant.empty() ? options.arguments.model_file() : options.variant;
  Measured measured;
  for (const std::string& dtype : options.dtypes) {
    measure_model(options, load(options, name, parse_precision(dtype)), measured);
  }
  if (options.json) {
    Json json = {{"version", GCVIT_VERSION},
                 {"cpu", cpu_name()},
                 {"target", kernels::target()},
                 {"roof_gflops", measured.peak},
                 {"rows", Json::array()}};
    for (const Row& row : measured.rows) {
      json["rows"].push_back({{"model", name},
                              {"dtype", row.dtype},
                              {"threads", row.threads},
                              {"batch", row.batch},
                              {"median_ms", 1e3 * row.median},
                              {"p90_ms", 1e3 * row.p90},
                              {"images_per_second", row.images_per_second},
                              {"gflops", row.gflops},
                              {"percent_of_roof", row.percent_of_peak}});
    }
    print_json(json);
    return 0;
  }
  std::string text =
      fmt::format("{}, gcvit {} on {}, SIMD target {}\npeak of {} threads in f32: {:.0f} GFLOP/s\n\n", printable(name),
                  GCVIT_VERSION, cpu_name(), kernels::target(), measured.peak_threads, measured.peak);
  text += "dtype  threads  batch  median ms     p90 ms   images/s  GFLOP/s  % of peak\n";
  for (const Row& row : measured.rows) {
    text +=
        fmt::format("{:<5}  {:>7}  {:>5}  {:>9.2f}  {:>9.2f}  {:>9.1f}  {:>7.1f}  {:>9.1f}\n", row.dtype, row.threads,
                    row.batch, 1e3 * row.median, 1e3 * row.p90, row.images_per_second, row.gflops, row.percent_of_peak);
  }
  print(text);
  return 0;
}

}  // namespace

Command add_bench(CLI::App& program) {
  CLI::App* app = program.add_subcommand(
      "bench", "Measure a model's speed on random images, as images a second and as a share of this machine's peak");
  const auto options = std::make_shared<Options>();
  options->arguments.add_model(*app);
  app->add_option("--variant", options->variant,
                  "Measure a published architecture with random weights instead of a file")
      ->check(one_of(published_variants()))
      ->type_name("NAME")
      ->excludes("-m");
  options->arguments.add_image_size(*app);
  app->add_option(kBatchFlag, options->batches, "Batch sizes to measure, such as 1,8,32")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app->add_option("-t,--threads", options->threads,
                  "Numbers of threads to measure, such as 1,2; 0 is one for each available processor")
      ->delimiter(',')
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app->add_option("--seconds", options->seconds, "Seconds to measure each row for; a row has at least five runs")
      ->check(CLI::Range(0.0, 3600.0))
      ->type_name("SECONDS")
      ->capture_default_str();
  app->add_option("--dtype", options->dtypes,
                  "Data types to compute in, such as f32,bf16,int8; auto is the one that the file has its weights in")
      ->delimiter(',')
      ->check(CLI::IsMember({"auto", "f32", "bf16", "int8"}))
      ->capture_default_str();
  add_json(*app, options->json);
  return {app, [options] { return run(*options); }};
}

}  // namespace gcvit::cli
