// SPDX-License-Identifier: Apache-2.0
// Limits on photos, wherever the program reads them.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/cli/program.h"

namespace gcvit {
namespace {

TEST_F(Cli, MaxPixelsHoldsWhereverImagesAreRead) {
  for (const char* name : {"blue", "green"}) {
    std::filesystem::create_directories(folder / ("photos/" + std::string(name)));
    for (unsigned i = 0; i < 4; ++i) {
      weights::write_text(folder / ("photos/" + std::string(name) + "/" + std::to_string(i) + ".png"),
                          testing::blob_png(i, 40, 50));
    }
  }
  weights::write_text(folder / "photos/green/large.png", testing::blob_png(9, 41, 50));
  const std::string sentence = "large.png: size: expected at most 2000 pixels (--max-pixels), found 50 x 41";
  expect_failure("classify -m m.safetensors --max-pixels 2000 photos/green/large.png", sentence);
  expect_failure("preprocess --preprocess timm --image-size 32 -o x.npy --max-pixels 2000 photos", sentence);
  EXPECT_FALSE(std::filesystem::exists(folder / "x.npy"));
  for (const std::string command :
       {"eval -m m.safetensors photos", "train photos -m m.safetensors -o run --epochs 1"}) {
    const Result result = gcvit(command + " --max-pixels 2000");
    EXPECT_NE(result.err.find(sentence), std::string::npos) << command << "\n" << result.err;
  }
  EXPECT_NE(weights::read_text(folder / "run/config.json").find("\"max_pixels\": 2000"), std::string::npos);
  EXPECT_EQ(gcvit("classify -m m.safetensors --max-pixels 2050 photos").code, 0);
  EXPECT_EQ(gcvit("classify -m m.safetensors --max-pixels 0 photos").code, 2);
}

}  // namespace
}  // namespace gcvit
