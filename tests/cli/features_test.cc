// SPDX-License-Identifier: Apache-2.0
// gcvit features and gcvit similar.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "explain/feature_index.h"
#include "formats/npy.h"
#include "tests/cli/keys.h"
#include "tests/cli/program.h"

namespace gcvit {
namespace {

using nlohmann::json;
using weights::read_text;
using weights::write_text;

struct CliFeatures : Cli {
  /// Photos 0 to `count` - 1, and between them one that isn't a photo; the arguments that name them.
  std::string photos(unsigned count) {
    std::string names;
    for (unsigned i = 0; i < count; ++i) {
      names += " " + image(i);
      if (i == 0) names += " broken.png";
    }
    write_text(folder / "broken.png", "no photo");
    return names;
  }
  Tensor npy(const std::string& name) { return formats::read_npy(folder / name); }
};

bool equal(const Tensor& a, const Tensor& b) {
  return a.dims() == b.dims() && std::ranges::equal(a.values(), b.values());
}

TEST_F(CliFeatures, PooledVectorsAreThoseOfForwardInEveryForm) {
  image(0);
  image(1);
  image(2);
  const std::string names = "photo2.png photo0.png photo1.png";
  ASSERT_EQ(gcvit("preprocess -m m.safetensors " + names + " -o x.npy").code, 0);
  ASSERT_EQ(gcvit("forward -m m.safetensors x.npy -o y.npz").code, 0);
  const auto bytes = formats::MappedFile::open(folder / "y.npz", "npz");
  const formats::ZipArchive forward(bytes->bytes(), "y.npz");
  const auto expected = [&](const std::string& name) {
    return formats::parse_npy(forward.find(name + ".npy")->bytes, bytes, name);
  };

  const Result result = gcvit("features -m m.safetensors " + names + " -o f.npz --batch 2 --json");
  ASSERT_EQ(result.code, 0) << result.err;
  const explain::FeatureIndex index = explain::read_feature_index(folder / "f.npz");
  EXPECT_TRUE(equal(index.features, expected("pooled")));
  EXPECT_EQ(index.images, (std::vector<std::string>{"photo2.png", "photo0.png", "photo1.png"}));
  EXPECT_EQ(index.source.model, "m.safetensors");
  EXPECT_FALSE(index.source.fingerprint.empty());
  const json object = json::parse(result.out);
  EXPECT_EQ(keys_of(object), (Keys{"errors", "features", "model", "output", "shape"}));
  EXPECT_EQ(object["features"], "pooled");
  EXPECT_EQ(object["shape"], json(index.features.dims()));

  ASSERT_EQ(gcvit("features -m m.safetensors " + names + " -o f.npy -t 1").code, 0);
  EXPECT_TRUE(equal(npy("f.npy"), index.features));
  EXPECT_EQ(read_text(folder / "f.txt"), "photo2.png\nphoto0.png\nphoto1.png\n");

  ASSERT_EQ(gcvit("features -m m.safetensors " + names + " -o f.csv").code, 0);
  std::istringstream lines(read_text(folder / "f.csv"));
  std::string line;
  std::getline(lines, line);
  EXPECT_TRUE(line.starts_with("image,f0,f1,f2,")) << line;
  for (std::size_t row = 0; row < 3; ++row) {
    std::getline(lines, line);
    std::istringstream fields(line);
    std::string field;
    std::getline(fields, field, ',');
    EXPECT_EQ(field, index.images[row]);
    const auto size = static_cast<std::size_t>(index.features.dims()[1]);
    for (std::size_t i = 0; i < size; ++i) {
      std::getline(fields, field, ',');
      EXPECT_EQ(std::stof(field), index.features.values()[row * size + i]);
    }
    EXPECT_TRUE(fields.eof());
  }

  for (const std::string level : {"1", "2", "3", "4"}) {
    ASSERT_EQ(gcvit("features -m m.safetensors " + names + " -o l.npy --level " + level).code, 0);
    EXPECT_TRUE(equal(npy("l.npy"), expected("level" + level))) << level;
  }
}

TEST_F(CliFeatures, PhotosThatCannotBeReadAreLeftOut) {
  const Result result = gcvit("features -m m.safetensors" + photos(12) + " -o f.npz --json");
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("broken.png: expected JPEG, PNG or WebP"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("gcvit: [features] 1 of 13 photos were left out"), std::string::npos) << result.err;
  const json errors = json::parse(result.out)["errors"];
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0]["image"], "broken.png");
  const explain::FeatureIndex index = explain::read_feature_index(folder / "f.npz");
  EXPECT_EQ(index.features.dims()[0], 12);
  EXPECT_EQ(index.images[0], "photo0.png");
  EXPECT_EQ(index.images[1], "photo1.png");
}

TEST_F(CliFeatures, WhatCannotBeWrittenLeavesNothing) {
  image(0);
  expect_usage_error("features -m m.safetensors photo0.png -o f.json", "ends in .npz, .npy or .csv, found f.json");
  expect_usage_error("features -m m.safetensors photo0.png -o f.csv --level 1", "expected .npz or .npy for the maps");
  expect_usage_error("features -m m.safetensors photo0.png -o f.npy --level 5", "--level");
  const std::size_t before = files_left();
  write_text(folder / "line\nbreak.png", read_text(folder / "photo0.png"));
  expect_failure("features -m m.safetensors \"line\nbreak.png\" -o f.npy", "expected a name without line breaks");
  expect_failure("features -m m.safetensors photo0.png -o no/such/f.npz", "no/such");
  write_text(folder / "broken.png", "no photo");
  const Result none = gcvit("features -m m.safetensors broken.png -o f.npz");
  EXPECT_EQ(none.code, 1);
  EXPECT_NE(none.err.find("[features] f.npz: not written, as no photo could be read"), std::string::npos) << none.err;
  EXPECT_EQ(files_left(), before + 2);
  EXPECT_EQ(gcvit("features -m m.safetensors \"line\nbreak.png\" -o f.npz").code, 0);
  EXPECT_EQ(explain::read_feature_index(folder / "f.npz").images[0], "line\nbreak.png");
}

TEST_F(CliFeatures, SimilarFindsThePhotoItselfFirst) {
  photos(9);
  ASSERT_EQ(gcvit("features -m m.safetensors photo[0-8].png -o f.npz").code, 0);
  const Result text = gcvit("similar -m m.safetensors f.npz photo3.png -k 2");
  ASSERT_EQ(text.code, 0) << text.err;
  EXPECT_TRUE(text.out.starts_with("photo3.png\n  1.0000  photo3.png\n")) << text.out;
  EXPECT_EQ(std::count(text.out.begin(), text.out.end(), '\n'), 3);

  const Result result = gcvit("similar -m m.safetensors f.npz photo5.png broken.png photo7.png -k 20 --json");
  EXPECT_EQ(result.code, 1);
  const json object = json::parse(result.out);
  EXPECT_EQ(keys_of(object), (Keys{"errors", "index", "model", "results"}));
  ASSERT_EQ(object["results"].size(), 2u);
  EXPECT_EQ(object["errors"][0]["image"], "broken.png");
  for (const json& photo : object["results"]) {
    ASSERT_EQ(photo["neighbours"].size(), 9u);
    EXPECT_EQ(photo["neighbours"][0]["image"], photo["image"]);
    EXPECT_NEAR(photo["neighbours"][0]["similarity"], 1.0, 1e-9);
    for (std::size_t i = 1; i < 9; ++i) {
      EXPECT_LE(photo["neighbours"][i]["similarity"], photo["neighbours"][i - 1]["similarity"]);
    }
  }
  EXPECT_EQ(object["results"][1]["neighbours"][0]["row"], 7);

  const Result table = gcvit("similar -m m.safetensors f.npz photo3.png -k 1 --csv");
  EXPECT_EQ(table.out, "image,rank,neighbour,similarity,row\nphoto3.png,1,photo3.png,1.000000,3\n");
}

TEST_F(CliFeatures, SimilarSaysWhenTheIndexIsOfAnotherModel) {
  image(0);
  ASSERT_EQ(gcvit("features -m m.safetensors photo0.png -o f.npz").code, 0);
  ASSERT_EQ(gcvit("features -m m.safetensors photo0.png -o map.npz --level 4").code, 0);
  testing::write_tiny_model(folder / "other.safetensors", testing::colour_names(), 6);
  expect_failure("similar -m other.safetensors f.npz photo0.png",
                 "expected features that other.safetensors makes, found those of another model, m.safetensors");
  expect_failure("similar -m m.safetensors map.npz photo0.png", "expected pooled vectors [N, ");
  expect_failure("similar f.npz photo0.png", "expected vectors of 256 floats");
  expect_failure("similar -m m.safetensors f.npz photo0.png --preprocess keras", "expected photos prepared by ");
  expect_failure("similar -m m.safetensors photo0.png photo0.png", "found a PNG image");
  // The same weights in another file, type or precision are the same model.
  const Result converted = gcvit("convert m.safetensors copy.safetensors");
  ASSERT_EQ(converted.code, 0) << converted.err;
  for (const char* same : {"copy.safetensors", "m.safetensors --dtype int8", "m.safetensors --dtype bf16"}) {
    const Result result = gcvit("similar -m " + std::string(same) + " f.npz photo0.png");
    EXPECT_EQ(result.code, 0) << same << ": " << result.err;
  }
}

}  // namespace
}  // namespace gcvit
