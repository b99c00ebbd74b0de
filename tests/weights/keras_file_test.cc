// SPDX-License-Identifier: Apache-2.0
#include "weights/keras_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "tests/testing/faults.h"
#include "tests/weights/test_files.h"
#include "weights/load.h"
#include "weights/names.h"

namespace gcvit::weights {
namespace {

/// A GCViT whose every value is another.
std::unique_ptr<model::GCViT> numbered_model(bool layer_scale) {
  model::GCViTConfig config;
  config.dim = 4;
  config.depths = {1, 2, 12, 1};
  config.heads = {1, 2, 2, 4};
  config.windows = {{{2, 2}, {2, 2}, {4, 4}, {2, 2}}};
  config.mlp_ratio = 1.0;
  config.layer_scale = layer_scale;
  config.classes = 3;
  config.image_height = config.image_width = 64;
  auto model = std::make_unique<model::GCViT>(config);
  float next = 0;
  for (model::Parameter* parameter : model->parameters()) {
    parameter->tensor = Tensor(DType::kF32, parameter->dims);
    for (float& value : parameter->tensor.mutable_values()) value = next++;
  }
  return model;
}

std::vector<formats::NamedTensor> tensors_of(const model::GCViT& model) {
  std::vector<formats::NamedTensor> tensors;
  for (const model::Parameter* parameter : model.parameters()) tensors.push_back({parameter->name, parameter->tensor});
  return tensors;
}

class KerasFile : public ::testing::TestWithParam<std::pair<KerasFlavour, bool>> {};

TEST_P(KerasFile, ComesBackBitByBit) {
  const auto [flavour, layer_scale] = GetParam();
  const auto model = numbered_model(layer_scale);
  const TemporaryFolder folder;
  write_keras(folder / "m.weights.h5", tensors_of(*model), flavour);
  const LoadedModel loaded = load_model(folder / "m.weights.h5");
  EXPECT_EQ(loaded.info.source.layout, "keras");
  EXPECT_EQ(loaded.info.config.layer_scale, layer_scale);
  EXPECT_EQ(loaded.info.config.depths, model->config().depths);
  EXPECT_TRUE(loaded.report.unexpected.empty());
  // Who loads what the example's code wrote is told about its bias.
  const auto& lines = loaded.info.source.inferred;
  EXPECT_EQ(std::ranges::any_of(
                lines, [](const std::string& line) { return line.find("--keras-example-bias") != std::string::npos; }),
            flavour == KerasFlavour::kExample);
  const auto expected = model->parameters();
  const auto found = loaded.model->parameters();
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i]->name, expected[i]->name);
    EXPECT_TRUE(std::ranges::equal(found[i]->tensor.values(), expected[i]->tensor.values())) << found[i]->name;
  }
}

INSTANTIATE_TEST_SUITE_P(Flavours, KerasFile,
                         ::testing::Values(std::pair{KerasFlavour::kExample, false},
                                           std::pair{KerasFlavour::kExample, true},
                                           std::pair{KerasFlavour::kGcvitTf, true}));

TEST(KerasFile, TheSameTensorsGiveTheSameBytes) {
  std::vector<formats::NamedTensor> tensors = tensors_of(*numbered_model(true));
  const TemporaryFolder folder;
  write_keras(folder / "a.weights.h5", tensors);
  std::ranges::reverse(tensors);
  write_keras(folder / "b.weights.h5", tensors);
  const std::string bytes = read_text(folder / "a.weights.h5");
  EXPECT_EQ(bytes, read_text(folder / "b.weights.h5"));
  // The superblock: signature, version 0, and no mark of a file that is open for writing.
  EXPECT_EQ(bytes.substr(0, 9), std::string("\x89HDF\r\n\x1a\n\0", 9));
  EXPECT_EQ(bytes.substr(20, 4), std::string(4, '\0'));
}

TEST(KerasFile, IsWholeOrNotThere) {
  const TemporaryFolder folder;
  const Tensor value(DType::kF32, {1});
  const std::vector<formats::NamedTensor> twice = {{"norm.bias", value}, {"norm.bias", value}};
  EXPECT_EQ(error_of([&] { write_keras(folder / "m.h5", twice); }),
            "[hdf5] " + (folder / "m.h5") + ": \"norm.bias\" appears twice");
  const std::vector<formats::NamedTensor> unknown = {{"norm.running_mean", value}};
  EXPECT_EQ(error_of([&] { write_keras(folder / "m.h5", unknown); }),
            "[names] keras has no name for \"norm.running_mean\"");
  const std::vector<formats::NamedTensor> strange = {{"stages.0.weight", value}};
  EXPECT_EQ(error_of([&] { write_keras(folder / "m.h5", strange); }),
            "[names] keras has no name for \"stages.0.weight\"");
  EXPECT_EQ(folder.files(), 0u);
}

TEST(KerasFile, IsWholeOrNotThereOnAnyDeviceThatFails) {
  std::vector<formats::NamedTensor> tensors = tensors_of(*numbered_model(true));
  tensors.resize(3);  // libhdf5 is slow, and the test writes hundreds of times
  const TemporaryFolder folder;
  const std::string path = folder / "m.weights.h5";
  testing::expect_whole_or_not_at_all(path, [&] { write_keras(path, tensors); });
}

}  // namespace
}  // namespace gcvit::weights
