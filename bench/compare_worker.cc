// SPDX-License-Identifier: Apache-2.0
// gcvit's side of compare.py: a process that stays alive and computes when it is told to, a line in, a line out.
//
//   precision DTYPE       f32, bf16 or int8: what the next models compute in; f32 without it; answers "precision"
//   use MODEL THREADS     loads the model file; answers "model", one image's multiply-adds, our version, the target
//   images FILE BATCH     float32 NHWC, raw, from here on the input; answers "logits" and one number a class and image
//   run SECONDS           computes until the seconds are over, at least once; answers "times" in seconds a batch
//   roof SECONDS          answers "roof" and the machine's f32 GFLOP/s on that many threads
//
// Commands follow each other as compare.py sends them; anything else ends it with a message on stderr.
#include <chrono>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gcvit/version.h"
#include "inference/engine.h"
#include "inference/precision.h"
#include "kernels/peak.h"
#include "kernels/target.h"
#include "summary/summary_backend.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "weights/load.h"

namespace {

class Worker {
 public:
  void precision(const std::string& dtype) {
    for (const gcvit::Precision one : {gcvit::Precision::kF32, gcvit::Precision::kBf16, gcvit::Precision::kInt8}) {
      if (dtype == gcvit::inference::name_of(one)) precision_ = one;
    }
    std::cout << "precision" << std::endl;
  }

  void use(const std::string& file, int threads) {
    gcvit::weights::LoadedModel loaded = gcvit::weights::load_model(file);
    gcvit::inference::set_precision(precision_, *loaded.model);
    const std::shared_ptr<const gcvit::model::GCViT> model = std::move(loaded.model);
    engine_.emplace(model, std::make_shared<gcvit::ThreadPool>(threads));
    const gcvit::model::GCViTConfig& config = model->config();
    gcvit::summary::SummaryBackend summary;
    model->forward(summary, summary.input({config.image_height, config.image_width, 3}));
    std::cout << "model " << summary.macs() << ' ' << GCVIT_VERSION << ' ' << gcvit::kernels::target() << std::endl;
  }

  void images(const std::string& file, std::int32_t batch) {
    images_.resize(static_cast<std::size_t>(batch * engine_->input_size()));
    const auto bytes = static_cast<std::streamsize>(images_.size() * sizeof(float));
    std::ifstream in(file, std::ios::binary);
    if (!in.read(reinterpret_cast<char*>(images_.data()), bytes)) {
      gcvit::fail("[compare_worker] {}: expected {} bytes", file, bytes);
    }
    std::cout << "logits";
    for (const float value : engine_->run(images_)) std::cout << ' ' << value;
    std::cout << std::endl;
  }

  void run(double seconds) {
    using Clock = std::chrono::steady_clock;
    std::vector<double> times;
    const Clock::time_point begin = Clock::now();
    Clock::time_point now = begin;
    do {
      const Clock::time_point start = now;
      engine_->run(images_);
      now = Clock::now();
      times.push_back(std::chrono::duration<double>(now - start).count());
    } while (std::chrono::duration<double>(now - begin).count() < seconds);
    std::cout << "times";
    for (const double time : times) std::cout << ' ' << time;
    std::cout << std::endl;
  }

  void peak(double seconds) {
    std::cout << "roof " << gcvit::kernels::measure_fma_gflops(engine_->pool(), seconds) << std::endl;
  }

 private:
  gcvit::Precision precision_ = gcvit::Precision::kF32;
  std::optional<gcvit::inference::Engine> engine_;
  std::vector<float> images_;
};

}  // namespace

int main() try {
  std::cout.precision(9);
  Worker worker;
  std::string command;
  while (std::cin >> command) {
    std::string file;
    double seconds = 0.0;
    int number = 0;
    if (command == "precision" && std::cin >> file) {
      worker.precision(file);
    } else if (command == "use" && std::cin >> file >> number) {
      worker.use(file, number);
    } else if (command == "images" && std::cin >> file >> number) {
      worker.images(file, number);
    } else if (command == "run" && std::cin >> seconds) {
      worker.run(seconds);
    } else if (command == "roof" && std::cin >> seconds) {
      worker.peak(seconds);
    } else {
      gcvit::fail("[compare_worker] stdin: expected precision, use, images, run or roof, found \"{}\"", command);
    }
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
