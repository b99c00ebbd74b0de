// SPDX-License-Identifier: Apache-2.0
// What tests of whole runs share: photos, a tiny model, and what a run left.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/inference/test_images.h"
#include "tests/weights/test_files.h"
#include "train/run.h"
#include "train/run_log.h"
#include "weights/load.h"

namespace gcvit::train {

using weights::read_text;
using weights::write_text;

/// What a run left, but for times.
struct Left {
  std::string last;
  std::string best;
  std::string steps;
  std::vector<EpochRow> rows;
  bool operator==(const Left&) const = default;
};

struct Runs : ::testing::Test {
  weights::TemporaryFolder folder;
  std::string images = folder / "photos";
  std::vector<std::string> notices;
  int runs = 0;

  Runs() {
    testing::write_tiny_model(folder / "m.safetensors");
    unsigned seed = 0;
    std::size_t channel = 3;
    for (const char* name : {"blue", "green", "red"}) {
      std::filesystem::create_directories(images + "/" + name);
      --channel;
      for (int i = 0; i < 8; ++i) {
        // Blobs of any colour on a ground of the class's own.
        std::vector<std::uint8_t> pixels = testing::blob_pixels(40, 56, seed++);
        for (std::size_t p = channel; p < pixels.size(); p += 3) pixels[p] = std::max<std::uint8_t>(pixels[p], 220);
        write_text(fmt::format("{}/{}/{}.png", images, name, i), testing::png_of(pixels, 40, 56));
      }
    }
  }

  /// A few steps of everything that draws random numbers or keeps state.
  static Recipe busy() {
    Recipe recipe = preset("finetune");
    recipe.epochs = 2;
    recipe.batch_size = 8;
    recipe.ema_decay = 0.9;
    recipe.mixup = recipe.cutmix = 0.5;
    recipe.augment = "randaug";
    recipe.random_erasing = 0.3;
    recipe.drop_path = 0.2;
    recipe.val_split = 0.25;
    recipe.seed = 7;
    return recipe;
  }

  RunOptions options(const Recipe& recipe, int threads = 2) {
    RunOptions result;
    result.data = images;
    result.start.weights = folder / "m.safetensors";
    result.weights = "-m m.safetensors";
    result.recipe = recipe;
    result.keep_warmup = true;  // an epoch of two
    result.threads = threads;
    result.notice = [this](std::string_view sentence) { notices.emplace_back(sentence); };
    return result;
  }

  std::string new_folder() { return folder / fmt::format("run{}", runs++); }

  static Left left_in(const std::string& run) {
    Left left{read_text(run + "/last.safetensors"), read_text(run + "/best.safetensors"), read_text(run + "/steps.csv"),
              read_run_log(run + "/log.csv")};
    for (EpochRow& row : left.rows) row.seconds = row.images_per_second = 0.0;
    return left;
  }

  Left run(const Recipe& recipe, int threads = 2) {
    const std::string path = new_folder();
    EXPECT_EQ(start_run(path, options(recipe, threads)), Outcome::kFinished);
    return left_in(path);
  }

  /// Whether the two files' tensors have the same bits.
  static bool same_weights(const std::string& a, const std::string& b) {
    const weights::LoadedModel one = weights::load_model(a);
    const weights::LoadedModel two = weights::load_model(b);
    for (std::size_t i = 0; i < one.model->parameters().size(); ++i) {
      const std::span<const float> left = one.model->parameters()[i]->tensor.values();
      if (!std::ranges::equal(left, two.model->parameters()[i]->tensor.values())) return false;
    }
    return true;
  }

  std::string failure(const Recipe& recipe) {
    return weights::error_of([&] { (void)start_run(new_folder(), options(recipe)); });
  }
};

}  // namespace gcvit::train
