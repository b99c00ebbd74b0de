// SPDX-License-Identifier: Apache-2.0
// gcvit's side of train.py: a process that stays alive and trains when it is told to, a line in, a line out.
//
//   use MODEL IMAGES BATCH THREADS DTYPE    the model file and float32 NHWC images, raw, BATCH of them, image i of class
//                                           i; answers "model", one image's multiply-adds, our version, the target
//   steps COUNT                             trains on that batch; answers "steps" and the seconds and loss of each
//   roof SECONDS                            answers "roof" and the machine's f32 GFLOP/s on that many threads
//
// Anything else ends it with a message on stderr.
#include <chrono>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "gcvit/version.h"
#include "kernels/peak.h"
#include "kernels/target.h"
#include "summary/summary_backend.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "train/make_executor.h"
#include "train/trainer.h"
#include "weights/load.h"

namespace {

using gcvit::ops::Parameter;

/// The same batch in memory, again and again.
class SameBatch final : public gcvit::train::BatchSource {
 public:
  SameBatch(const std::string& file, std::int32_t count, std::int64_t image_size) {
    batch_.images.resize(static_cast<std::size_t>(count * image_size));
    const auto bytes = static_cast<std::streamsize>(batch_.images.size() * sizeof(float));
    std::ifstream in(file, std::ios::binary);
    if (!in.read(reinterpret_cast<char*>(batch_.images.data()), bytes)) {
      gcvit::fail("[train_worker] {}: expected {} bytes", file, bytes);
    }
    batch_.samples.resize(static_cast<std::size_t>(count));
    std::iota(batch_.samples.begin(), batch_.samples.end(), 0u);
    batch_.labels.assign(batch_.samples.begin(), batch_.samples.end());
  }

  std::size_t training_images() const override { return batch_.samples.size(); }
  std::size_t validation_images() const override { return 0; }
  void start_training(std::uint64_t, std::size_t) override {}
  void start_validation() override {}
  bool next(gcvit::data::Batch& batch) override {
    batch = batch_;
    return true;
  }

 private:
  gcvit::data::Batch batch_;
};

/// What train.py's peers do: AdamW on all parameters, nothing else.
gcvit::train::Recipe make_recipe(const std::string& dtype) {
  gcvit::train::Recipe recipe;
  recipe.dtype = dtype;
  recipe.optimizer = "adamw";
  recipe.lr = 1e-5;
  recipe.weight_decay = 0.05;
  recipe.clip_grad = 0.0;
  return recipe;
}

class Worker {
 public:
  Worker(const std::string& file, const std::string& images, std::int32_t batch, int threads, const std::string& dtype)
      : pool_(threads), loaded_(gcvit::weights::load_model(file)), batch_(batch) {
    gcvit::model::GCViT& model = *loaded_.model;
    const gcvit::model::GCViTConfig& config = model.config();
    const gcvit::ops::Shape shape{config.image_height, config.image_width, 3};
    gcvit::summary::SummaryBackend summary;
    model.forward(summary, summary.input(shape));
    for (Parameter* parameter : model.parameters()) {
      parameter->tensor = gcvit::Tensor::from_values(parameter->dims, parameter->tensor.values());
    }
    const gcvit::train::Recipe recipe = make_recipe(dtype);
    const std::vector<const Parameter*> parameters(model.parameters().begin(), model.parameters().end());
    gcvit::train::Network network{.parameters = {model.parameters().begin(), model.parameters().end()},
                                  .groups = gcvit::train::parameter_groups(parameters, config, recipe),
                                  .input = shape,
                                  .classes = config.classes,
                                  .forward = [&model](gcvit::ops::Backend& backend, const gcvit::ops::Value& x) {
                                    return model.forward(backend, x);
                                  }};
    source_ = std::make_unique<SameBatch>(images, batch, shape.size());
    trainer_ =
        std::make_unique<gcvit::train::Trainer>(std::move(network), recipe, nullptr, gcvit::train::make_executor(pool_),
                                                [](const gcvit::data::SkippedSample&) {});
    lr_ = recipe.lr;
    std::cout << "model " << summary.macs() << ' ' << GCVIT_VERSION << ' ' << gcvit::kernels::target() << std::endl;
  }

  void steps(int count) {
    using Clock = std::chrono::steady_clock;
    std::cout << "steps";
    for (int i = 0; i < count; ++i) {
      const Clock::time_point start = Clock::now();
      const auto result = trainer_->step(*source_, step_++, batch_, lr_);
      const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
      std::cout << ' ' << seconds << ' ' << result->loss_sum / static_cast<double>(batch_);
    }
    std::cout << std::endl;
  }

  void peak(double seconds) { std::cout << "roof " << gcvit::kernels::measure_fma_gflops(pool_, seconds) << std::endl; }

 private:
  gcvit::ThreadPool pool_;
  gcvit::weights::LoadedModel loaded_;
  std::int32_t batch_;
  std::unique_ptr<SameBatch> source_;
  std::unique_ptr<gcvit::train::Trainer> trainer_;
  double lr_ = 0.0;
  std::int64_t step_ = 0;
};

}  // namespace

int main() try {
  std::cout.precision(9);
  std::unique_ptr<Worker> worker;
  std::string command;
  while (std::cin >> command) {
    std::string file, images, dtype;
    double seconds = 0.0;
    int batch = 0;
    int number = 0;
    if (command == "use" && std::cin >> file >> images >> batch >> number >> dtype) {
      worker = std::make_unique<Worker>(file, images, batch, number, dtype);
    } else if (command == "steps" && worker && std::cin >> number) {
      worker->steps(number);
    } else if (command == "roof" && worker && std::cin >> seconds) {
      worker->peak(seconds);
    } else {
      gcvit::fail("[train_worker] stdin: expected use, steps or roof, found \"{}\"", command);
    }
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
