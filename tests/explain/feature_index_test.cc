// SPDX-License-Identifier: Apache-2.0
#include "explain/feature_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "formats/npy.h"
#include "formats/npy_texts.h"
#include "formats/zip_writer.h"
#include "tests/formats/test_files.h"

namespace gcvit::explain {
namespace {

using formats::error_of;
using formats::read_text;
using formats::TemporaryFolder;
using formats::write_text;

struct FeatureIndexTest : ::testing::Test {
  TemporaryFolder folder;
  std::string file = folder / "x.npz";
  FeatureIndex index{Tensor::from_values({2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6}),
                     {"a.jpg", "b.jpg"},
                     {"m.safetensors", "{}", {0.5f, 0.25f, 0.125f}}};

  /// An .npz of these members, each the bytes of a file.
  void write_members(const std::vector<std::pair<std::string, std::string>>& members) {
    formats::ZipWriter archive(file, formats::ZipStyle::kPlain);
    for (const auto& [name, bytes] : members) archive.add(name, bytes);
    archive.finish();
  }
  std::string npy(const Tensor& tensor) {
    formats::write_npy(folder / "part.npy", tensor);
    return read_text(folder / "part.npy");
  }
  std::string refusal() {
    const std::string sentence = error_of([&] { read_feature_index(file); });
    const std::string start = "] " + file + ": ";
    const std::size_t place = sentence.find(start);
    return place == std::string::npos ? "without its file: " + sentence : sentence.substr(place + start.size());
  }
};

TEST_F(FeatureIndexTest, ComesBackAsItWasWritten) {
  write_feature_index(file, index);
  const FeatureIndex back = read_feature_index(file);
  EXPECT_EQ(back.features.dims(), (Dims{2, 3}));
  EXPECT_TRUE(std::ranges::equal(back.features.values(), index.features.values()));
  EXPECT_EQ(back.images, index.images);
  EXPECT_EQ(back.source.model, "m.safetensors");
  EXPECT_EQ(back.source.preprocessing, "{}");
  EXPECT_EQ(back.source.fingerprint, index.source.fingerprint);
}

TEST_F(FeatureIndexTest, AnIndexOfAnotherProgramHasFeaturesAndImagesAlone) {
  write_members({{"features.npy", npy(index.features)}, {"images.npy", formats::npy_of_texts(index.images)}});
  const FeatureIndex back = read_feature_index(file);
  EXPECT_EQ(back.images, index.images);
  EXPECT_TRUE(back.source.fingerprint.empty());
  EXPECT_EQ(back.source.model, "");
}

TEST_F(FeatureIndexTest, SaysWhatIsWrong) {
  write_text(file, "not an archive");
  EXPECT_EQ(refusal(), "expected an .npz that `gcvit features` wrote, found a text that begins \"not an archive\"");
  const std::string names = formats::npy_of_texts(index.images);
  write_members({{"features.npy", npy(index.features)}});
  EXPECT_EQ(refusal(),
            "expected the arrays \"features\" and \"images\" as `gcvit features` writes them, found no \"images.npy\"");
  write_members(
      {{"features.npy", npy(index.features)}, {"images.npy", formats::npy_of_texts(std::vector<std::string>{"a"})}});
  EXPECT_EQ(refusal(), "\"images.npy\": expected the names of 2 images, found 1");
  write_members({{"features.npy", npy(Tensor::from_values({2}, std::vector<float>{1, 2}))}, {"images.npy", names}});
  EXPECT_EQ(refusal(), "\"features.npy\": expected rows of features, found [2]");
  write_members({{"features.npy", npy(Tensor(DType::kF32, {0, 3}))}, {"images.npy", names}});
  EXPECT_EQ(refusal(), "\"features.npy\": expected rows of features, found [0, 3]");
  const float nan = std::numeric_limits<float>::quiet_NaN();
  write_members(
      {{"features.npy", npy(Tensor::from_values({2, 2}, std::vector<float>{1, 2, 3, nan}))}, {"images.npy", names}});
  EXPECT_EQ(refusal(), "\"features.npy\": row 1: expected finite numbers, found nan");
  write_members({{"features.npy", npy(index.features)},
                 {"images.npy", names},
                 {"model.npy", formats::npy_of_texts(index.images)}});
  EXPECT_EQ(refusal(), "\"model.npy\": expected one text, found 2");
}

TEST_F(FeatureIndexTest, NoDamagedFileIsRead) {
  write_feature_index(file, index);
  const std::string whole = read_text(file);
  std::size_t refused = 0;
  for (std::size_t size = 0; size < whole.size(); size += 37) {
    write_text(file, whole.substr(0, size));
    refused += refusal().empty() ? 0 : 1;
  }
  EXPECT_EQ(refused, (whole.size() + 36) / 37);
  std::string damaged = whole;
  damaged[damaged.find("a\0\0\0.\0", 0, 6)] = 'b';
  write_text(file, damaged);
  EXPECT_NE(error_of([&] { read_feature_index(file); }).find("images.npy"), std::string::npos);
}

}  // namespace
}  // namespace gcvit::explain
