// SPDX-License-Identifier: Apache-2.0
#include "image/preprocess.h"

#include <cmath>

#include "tests/image/test_pictures.h"

namespace gcvit::image {
namespace {

std::vector<float> preprocessed(const Image& image, const PreprocessConfig& config) {
  std::vector<float> out(static_cast<std::size_t>(config.height * config.width) * 3, std::nanf(""));
  preprocess(image, config, out);
  return out;
}

TEST(Preprocess, EqualsTimmsTransformsBitForBit) {
  struct Case {
    std::string name;
    PreprocessConfig config;
  };
  PreprocessConfig squash = make_preprocess_config(Preset::kNvlabs, "large_384", 24, 20);
  const std::vector<Case> cases = {{"timm", make_preprocess_config(Preset::kTimm, "", 24, 24)},
                                   {"timm", make_preprocess_config(Preset::kTimm, "", 15, 21)},
                                   {"nvlabs-xxtiny", make_preprocess_config(Preset::kNvlabs, "xxtiny", 16, 16)},
                                   {"nvlabs-small", make_preprocess_config(Preset::kNvlabs, "small", 16, 16)},
                                   {"squash", squash}};
  for (const auto& [name, config] : cases) {
    for (const std::string source : {"wide", "tall"}) {
      const std::string file =
          name + "_" + source + "_" + std::to_string(config.height) + "x" + std::to_string(config.width) + ".ppm";
      const Image expected = read_ppm(data_folder() / file);
      const std::vector<float> found = preprocessed(read_ppm(data_folder() / (source + ".ppm")), config);
      ASSERT_EQ(found.size(), expected.pixels.size()) << file;
      for (std::size_t i = 0; i < found.size(); ++i) {
        const float value = (static_cast<float>(expected.pixels[i]) / 255.0f - config.mean[i % 3]) / config.std[i % 3];
        ASSERT_EQ(found[i], value) << file << ": value " << i;
      }
    }
  }
}

TEST(Preprocess, EqualsKerasOnTensorflow) {
  for (const Preset preset : {Preset::kKeras, Preset::kKerasTrain}) {
    for (const std::string source : {"wide", "tall"}) {
      const std::string file = std::string(to_string(preset)) + "_" + source + "_24x20.f32";
      const std::vector<float> expected = read_floats(data_folder() / file);
      const PreprocessConfig config = make_preprocess_config(preset, "", 24, 20);
      const std::vector<float> found = preprocessed(read_ppm(data_folder() / (source + ".ppm")), config);
      ASSERT_EQ(found.size(), expected.size()) << file;
      for (std::size_t i = 0; i < found.size(); ++i) {
        ASSERT_NEAR(found[i] * 255.0f * config.std[i % 3], expected[i] * 255.0f * config.std[i % 3], 1e-4)
            << file << ": value " << i;
      }
    }
  }
}

TEST(Preprocess, GivesTheSameWithAScratchThatSawOtherPictures) {
  PreprocessScratch scratch;
  for (const Preset preset : {Preset::kTimm, Preset::kKeras, Preset::kKerasTrain}) {
    const PreprocessConfig config = make_preprocess_config(preset, "", 16, 16);
    for (unsigned seed = 0; seed < 6; ++seed) {
      const Image image =
          random_image(static_cast<std::int32_t>(40 - 7 * seed), static_cast<std::int32_t>(9 + 5 * seed), seed);
      std::vector<float> out(16 * 16 * 3);
      preprocess(image, config, out, scratch);
      EXPECT_EQ(out, preprocessed(image, config)) << "seed " << seed;
    }
  }
}

TEST(Preprocess, TakesPicturesOfAnyProportion) {
  for (const Preset preset : {Preset::kTimm, Preset::kKeras, Preset::kKerasTrain}) {
    for (const auto& [height, width] : {std::pair{1, 1}, {1, 5000}, {5000, 1}, {2, 3}}) {
      for (const std::int32_t target_width : {16, 24}) {
        Image image{width, height, std::vector<std::uint8_t>(static_cast<std::size_t>(height * width) * 3, 255)};
        const PreprocessConfig config = make_preprocess_config(preset, "", 16, target_width);
        for (const float value : preprocessed(image, config)) {
          // White stays white, whatever the filter.
          EXPECT_GT(value, 2.2f);
          EXPECT_LT(value, 2.7f);
        }
      }
    }
  }
}

TEST(Preprocess, KnowsNvlabsCrops) {
  const auto config = [](std::string_view variant, std::int32_t size) {
    return make_preprocess_config(Preset::kNvlabs, variant, size, size);
  };
  for (const char* variant : {"xxtiny", "tiny", "base", "large", "gcvit_tiny"}) {
    EXPECT_EQ(config(variant, 224).crop_pct, 1.0) << variant;
  }
  for (const char* variant : {"xtiny", "tiny2", "small", "small2", "custom", ""}) {
    EXPECT_EQ(config(variant, 224).crop_pct, 0.875) << variant;
  }
  EXPECT_FALSE(config("large", 224).squash);
  for (const std::int32_t size : {384, 512}) {
    EXPECT_TRUE(config("large_" + std::to_string(size), size).squash);
    EXPECT_EQ(config("large_" + std::to_string(size), size).crop_pct, 1.0);
  }
  EXPECT_EQ(make_preprocess_config(Preset::kTimm, "large_384", 384, 384).crop_pct, 0.875);
}

TEST(Preprocess, DescribesTheEffectiveChain) {
  const std::string numbers = "mean 0.485 0.456 0.406, std 0.229 0.224 0.225";
  EXPECT_EQ(describe(PreprocessConfig{}),
            "timm: shorter side to 256 (bicubic, antialiased), centre crop 224x224, " + numbers);
  EXPECT_EQ(describe(make_preprocess_config(Preset::kTimm, "", 224, 448)),
            "timm: cover 256x512 (bicubic, antialiased), centre crop 224x448, " + numbers);
  EXPECT_EQ(describe(make_preprocess_config(Preset::kNvlabs, "large_384", 384, 384)),
            "nvlabs: squash to 384x384 (bicubic, antialiased), " + numbers);
  EXPECT_EQ(describe(make_preprocess_config(Preset::kKeras, "", 224, 224)),
            "keras: " + numbers + ", squash to 224x224 (bilinear, no antialias)");
  EXPECT_EQ(describe(make_preprocess_config(Preset::kKerasTrain, "", 224, 224)),
            "keras-train: squash to 224x224 (bicubic, no antialias), " + numbers);
}

TEST(Preprocess, NamesPresets) {
  for (const Preset preset : {Preset::kTimm, Preset::kNvlabs, Preset::kKeras, Preset::kKerasTrain}) {
    EXPECT_EQ(preset_named(to_string(preset)), preset);
  }
  EXPECT_EQ(preset_named("auto"), std::nullopt);
}

TEST(Preprocess, RefusesBadNumbers) {
  const Image image = random_image(4, 4, 1);
  const auto sentence = [&image](auto change) {
    PreprocessConfig config;
    config.height = config.width = 8;
    change(config);
    std::vector<float> out(8 * 8 * 3);
    return sentence_of([&] { preprocess(image, config, out); });
  };
  EXPECT_EQ(sentence([](auto& config) { config.width = 0; }),
            "[preprocess] size: expected sides of 1 to 65535, found 8 x 0 (height x width)");
  EXPECT_EQ(sentence([](auto& config) { config.crop_pct = 1.5; }),
            "[preprocess] crop_pct: expected more than 0 and at most 1, found 1.5");
  EXPECT_EQ(sentence([](auto& config) { config.crop_pct = 1e-9; }),
            "[preprocess] crop_pct: expected a resized side of at most 65535, found 8 / 1e-09");
  EXPECT_EQ(sentence([](auto& config) { config.mean[1] = std::nanf(""); }),
            "[preprocess] mean: expected finite numbers, found nan");
  EXPECT_EQ(sentence([](auto& config) { config.std[2] = 0.0f; }),
            "[preprocess] std: expected positive numbers, found 0");
  EXPECT_EQ(sentence([](auto& config) { config.height = 9; }), "[preprocess] output: expected 216 numbers, found 192");
}

}  // namespace
}  // namespace gcvit::image
