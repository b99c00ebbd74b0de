// SPDX-License-Identifier: Apache-2.0
// What explanations cost, in forwards: explain_worker MODEL|VARIANT [REPEATS]. A variant, such as xxtiny, gets random weights.
// Every method and a plain forward in turns on one input; the ratio of each to the forward of the same turn: median, and the quartiles.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/random.h"
#include "gcvit/explain.h"
#include "model/initialise.h"
#include "weights/load.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Seconds {
  double wall;
  double cpu;  ///< of all threads
};

Seconds seconds_of(const std::function<void()>& run) {
  const Clock::time_point begin = Clock::now();
  const std::clock_t cpu_begin = std::clock();
  run();
  return {std::chrono::duration<double>(Clock::now() - begin).count(),
          static_cast<double>(std::clock() - cpu_begin) / CLOCKS_PER_SEC};
}

struct Contender {
  std::string name;
  std::function<void()> run;
  std::vector<double> seconds = {};
  std::vector<double> forwards = {};
  std::vector<double> cpu_forwards = {};
};

double quantile(std::vector<double> values, double share) {
  std::ranges::sort(values);
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

gcvit::Model open(const std::string& name) {
  if (name.find('.') != std::string::npos) return gcvit::Model::open(name);
  gcvit::model::GCViT model(gcvit::model::variant_config(name));
  gcvit::model::initialise(model, 1);
  gcvit::weights::ModelInfo info;
  info.config = model.config();
  const std::string file = (std::filesystem::temp_directory_path() / (name + ".explain_worker.safetensors")).string();
  gcvit::weights::save_model(file, model, info);
  gcvit::Model opened = gcvit::Model::open(file);
  std::filesystem::remove(file);
  return opened;
}

}  // namespace

int main(int count, char** arguments) try {
  if (count < 2) {
    std::fprintf(stderr, "usage: explain_worker MODEL|VARIANT [REPEATS]\n");
    return 2;
  }
  const int repeats = count > 2 ? std::atoi(arguments[2]) : 30;
  gcvit::Explainer explainer(open(arguments[1]));
  gcvit::Random random(0, 0);
  std::vector<float> tensor(explainer.session().tensor_size());
  for (float& value : tensor) value = random.normal();

  std::vector<Contender> contenders;
  contenders.push_back({"grad-cam at the norm", [&] { explainer.grad_cam(tensor); }});
  for (std::int32_t level = 1; level <= 4; ++level) {
    contenders.push_back(
        {"grad-cam at level " + std::to_string(level), [&, level] { explainer.grad_cam(tensor, {.level = level}); }});
  }
  const auto keeping = [&] { explainer.grad_cam(tensor, {.level = 1, .keep_gradient_weights = true}); };
  contenders.push_back({"level 1, keep weights", keeping});
  contenders.push_back({"level 1, weights kept", keeping});
  for (std::int32_t level = 1; level <= 4; ++level) {
    contenders.push_back(
        {"attention of level " + std::to_string(level), [&, level] { explainer.attention(tensor, {.level = level}); }});
  }
  std::vector<double> forward;
  for (int repeat = -2; repeat < repeats; ++repeat) {  // two turns to warm up
    for (Contender& contender : contenders) {
      const Seconds plain = seconds_of([&] { explainer.session().logits(tensor); });
      const Seconds seconds = seconds_of(contender.run);
      if (repeat < 0) continue;
      forward.push_back(plain.wall);
      contender.seconds.push_back(seconds.wall);
      contender.forwards.push_back(seconds.wall / plain.wall);
      contender.cpu_forwards.push_back(seconds.cpu / plain.cpu);
    }
  }
  std::printf("gcvit.cpp, %d threads, one %dx%d input: a forward takes %.1f ms\n", explainer.model().threads(),
              explainer.model().image_height(), explainer.model().image_width(), 1e3 * quantile(forward, 0.5));
  for (const Contender& contender : contenders) {
    std::printf("%-22s %7.1f ms  %5.2f forwards (%.2f to %.2f), %.2f in CPU time\n", contender.name.c_str(),
                1e3 * quantile(contender.seconds, 0.5), quantile(contender.forwards, 0.5),
                quantile(contender.forwards, 0.25), quantile(contender.forwards, 0.75),
                quantile(contender.cpu_forwards, 0.5));
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
