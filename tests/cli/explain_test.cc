// SPDX-License-Identifier: Apache-2.0
// gcvit explain.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "formats/npy.h"
#include "gcvit/overlay.h"
#include "image/decode.h"
#include "tests/cli/keys.h"
#include "tests/cli/program.h"

namespace gcvit {
namespace {

using nlohmann::json;
using weights::read_text;
using weights::write_text;

struct CliExplain : Cli {
  image::Image picture(const std::string& name) { return image::read_image(folder / name); }
  Tensor map(const std::string& name) { return formats::read_npy(folder / name); }
};

TEST_F(CliExplain, WritesAPictureAndTheMapThatTheLibraryGives) {
  image(1);
  const image::Image photo = picture("photo1.png");
  const Result result = gcvit("explain -m m.safetensors photo1.png -o why.png --json --class blue");
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  const json object = json::parse(result.out);
  EXPECT_EQ(keys_of(object), (Keys{"errors", "model", "results"}));
  const json& one = object["results"][0];
  EXPECT_EQ(keys_of(one), (Keys{"explanations", "image", "overlay"}));
  EXPECT_EQ(one["overlay"], "why.png");
  const json& found = one["explanations"][0];
  EXPECT_EQ(keys_of(found), (Keys{"empty", "index", "label", "level", "map", "method", "range", "score", "score_is"}));
  EXPECT_EQ(found["index"], 4);
  EXPECT_EQ(found["label"], "blue");
  EXPECT_EQ(found["method"], "grad-cam");
  EXPECT_EQ(found["level"], 0);
  EXPECT_EQ(found["score_is"], "logit");
  EXPECT_EQ(found["map"], "why.npy");

  Explainer explainer(Model::open(model));
  const Image library_photo = Image::file(folder / "photo1.png");
  const Explanation expected = explainer.grad_cam(explainer.session().preprocess(library_photo), {.target = 4});
  EXPECT_FLOAT_EQ(found["score"].get<float>(), expected.score);
  EXPECT_FLOAT_EQ(found["range"][1].get<float>(), expected.highest);
  const PhotoValues values = on_photo(explainer.session(), library_photo, expected);
  const Tensor written = map("why.npy");
  EXPECT_EQ(written.dims(), (Dims{photo.height, photo.width}));
  EXPECT_TRUE(std::ranges::equal(written.values(), values.values));
  EXPECT_EQ(read_text(folder / "why.png"), overlay_png(explainer.session(), library_photo, {&expected, 1}));
}

TEST_F(CliExplain, EveryMethodSaysInALineWhatItShows) {
  image(1);
  const auto line = [&](const std::string& flags) {
    const Result result = gcvit("explain -m m.safetensors photo1.png -o why.png " + flags);
    EXPECT_EQ(result.code, 0) << flags << result.err;
    EXPECT_EQ(map("why.npy").dims().size(), 2u);
    return result.out;
  };
  EXPECT_TRUE(line("--class 0").starts_with("photo1.png: red, logit ")) << line("--class 0");
  EXPECT_NE(line("--level 2 --probability").find(", grad-cam at level 2"), std::string::npos);
  EXPECT_TRUE(
      line("--method attention --level 1 --block 0 --head 0").starts_with("photo1.png: attention at level 1, "));
  EXPECT_NE(line("--method occlusion --patch 16 --stride 16 --class 1").find("Dark_Orange, logit "), std::string::npos);
  line("--class 0");
  const std::string viridis = read_text(folder / "why.png");
  line("--class 0 --colours inferno --opacity 0.6");
  EXPECT_NE(viridis, read_text(folder / "why.png"));
}

TEST_F(CliExplain, ClassesStandSideBySideWithAMapEach) {
  image(1);
  ASSERT_EQ(gcvit("explain -m m.safetensors photo1.png -o one.png --class red").code, 0);
  const Result both = gcvit("explain -m m.safetensors --class red --class 6 photo1.png -o two.png --json");
  ASSERT_EQ(both.code, 0) << both.err;
  const json explanations = json::parse(both.out)["results"][0]["explanations"];
  ASSERT_EQ(explanations.size(), 2u);
  EXPECT_EQ(explanations[1]["label"], "violet");
  EXPECT_EQ(explanations[1]["map"], "two.6.npy");
  EXPECT_GT(picture("two.png").width, 2 * picture("one.png").width);
  EXPECT_TRUE(std::ranges::equal(map("two.0.npy").values(), map("one.npy").values()));
}

TEST_F(CliExplain, SeveralPhotosGoIntoAFolderUnderTheirNames) {
  std::filesystem::create_directories(folder / "a");
  write_text(folder / "a/photo1.png", testing::blob_png(5));
  image(1);
  write_text(folder / "broken.png", "no photo");
  const Result result = gcvit("explain -m m.safetensors photo1.png broken.png a -o why/deep --json");
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("broken.png: expected JPEG, PNG or WebP"), std::string::npos) << result.err;
  const json object = json::parse(result.out);
  ASSERT_EQ(object["results"].size(), 2u);
  EXPECT_EQ(object["errors"][0]["image"], "broken.png");
  EXPECT_EQ(object["results"][0]["overlay"], "why/deep/photo1.png");
  EXPECT_EQ(object["results"][1]["overlay"], "why/deep/photo1-2.png");
  EXPECT_NE(read_text(folder / "why/deep/photo1.png"), read_text(folder / "why/deep/photo1-2.png"));
}

TEST_F(CliExplain, NoPhotoIsReplacedAndNothingIsWrittenInVain) {
  image(1);
  image(2);
  const std::string before = read_text(folder / "photo1.png");
  expect_failure("explain -m m.safetensors photo1.png -o photo1.png", "expected another name than that of a photo");
  expect_failure("explain -m m.safetensors photo1.png photo2.png -o .", "expected another name than that of a photo");
  EXPECT_EQ(read_text(folder / "photo1.png"), before);
  const std::size_t files = files_left();
  expect_failure("explain -m m.safetensors photo1.png -o why.png --class pink", "pink");
  expect_failure("explain -m m.safetensors photo1.png -o why.png --class 7", "expected 0 to 6, found 7");
  expect_failure("explain -m m.safetensors photo1.png -o why.png --method attention --head 100", "head: expected 0 to");
  expect_usage_error("explain -m m.safetensors photo1.png photo2.png -o why.png", "expected a folder for 2 photos");
  expect_usage_error("explain -m m.safetensors photo1.png -o why.png --head 0", "--head: expected --method attention");
  expect_usage_error("explain -m m.safetensors photo1.png -o why.png --method attention --class 0",
                     "--class: expected --method grad-cam or occlusion, found attention");
  expect_usage_error("explain -m m.safetensors photo1.png -o why.png --opacity 2", "--opacity");
  EXPECT_EQ(files_left(), files);
}

}  // namespace
}  // namespace gcvit
