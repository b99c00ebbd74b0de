// SPDX-License-Identifier: Apache-2.0
#include "weights/convert.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "model/initialise.h"
#include "tests/weights/test_files.h"

namespace gcvit::weights {
namespace {

/// A model that every layout's code has: square windows, 3, 2, 0 and 0 halvings, widths that timm doesn't round.
model::GCViTConfig tiny_config() {
  model::GCViTConfig config;
  config.dim = 32;
  config.depths = {1, 2, 1, 1};
  config.heads = {1, 2, 4, 2};
  config.windows = {{{2, 2}, {2, 2}, {4, 4}, {2, 2}}};
  config.mlp_ratio = 1.0;
  config.layer_scale = true;
  config.classes = 3;
  config.image_height = config.image_width = 64;
  return config;
}

LoadedModel make_model(const model::GCViTConfig& config = tiny_config()) {
  LoadedModel loaded;
  loaded.model = std::make_unique<model::GCViT>(config);
  model::initialise(*loaded.model, 3);
  loaded.info.config = config;
  loaded.info.source = {"safetensors", "canonical", {}};
  return loaded;
}

void expect_same_bits(const model::GCViT& found, const model::GCViT& expected) {
  const auto ours = found.parameters();
  const auto theirs = expected.parameters();
  ASSERT_EQ(ours.size(), theirs.size());
  for (std::size_t i = 0; i < ours.size(); ++i) {
    ASSERT_EQ(ours[i]->name, theirs[i]->name);
    EXPECT_TRUE(std::ranges::equal(ours[i]->tensor.bytes(), theirs[i]->tensor.bytes())) << ours[i]->name;
  }
}

struct Case {
  std::string name;
  Layout layout;
};

void PrintTo(const Case& value, std::ostream* stream) { *stream << value.name << ' ' << name_of(value.layout); }

class RoundTrip : public ::testing::TestWithParam<Case> {};

TEST_P(RoundTrip, EveryBitComesBack) {
  const TemporaryFolder folder;
  const LoadedModel model = make_model();
  const std::string path = folder / GetParam().name;
  const ConvertReport report = convert(model, path, {.layout = GetParam().layout, .dtype = {}, .keras_flavour = {}});
  EXPECT_EQ(report.layout, GetParam().layout);
  EXPECT_EQ(report.dtypes, std::vector{DType::kF32});
  const LoadedModel back = load_model(path);
  EXPECT_EQ(back.info.source.layout, name_of(GetParam().layout));
  EXPECT_TRUE(back.report.unexpected.empty());
  expect_same_bits(*back.model, *model.model);

  // And from there into our own file, and out again: the same bytes.
  convert(back, folder / "ours.safetensors");
  const LoadedModel ours = load_model(folder / "ours.safetensors");
  expect_same_bits(*ours.model, *model.model);
  const std::string again = folder / ("again" + GetParam().name);
  convert(ours, again, {.layout = GetParam().layout, .dtype = {}, .keras_flavour = {}});
  EXPECT_EQ(read_text(again), read_text(path));
  EXPECT_EQ(folder.files(), 3u);
}

INSTANTIATE_TEST_SUITE_P(Layouts, RoundTrip,
                         ::testing::Values(Case{"m.safetensors", Layout::kCanonical},
                                           Case{"m.safetensors", Layout::kNvlabs}, Case{"m.safetensors", Layout::kTimm},
                                           Case{"m.pth", Layout::kNvlabs}, Case{"m.pth.tar", Layout::kTimm},
                                           Case{"m.safetensors", Layout::kKeras},
                                           Case{"m.weights.h5", Layout::kKeras}));

TEST(Convert, TheEndingChoosesFormatAndLayout) {
  EXPECT_EQ(format_of("a.b/m.safetensors"), FileFormat::kSafetensors);
  for (const char* name : {"m.pth", "m.pt", "m.bin", "m.pth.tar"}) EXPECT_EQ(format_of(name), FileFormat::kPyTorch);
  EXPECT_EQ(format_of("m.weights.h5"), FileFormat::kKeras);
  EXPECT_EQ(error_of([] { format_of("m.h5"); }),
            "[convert] m.h5: expected a name that ends in .safetensors, .pth, .pt, .bin, .pth.tar or .weights.h5");
  EXPECT_EQ(default_layout(FileFormat::kPyTorch), Layout::kNvlabs);
}

TEST(Convert, HalvesStayHalves) {
  const TemporaryFolder folder;
  const LoadedModel model = make_model();
  convert(model, folder / "half.safetensors", {.layout = Layout::kTimm, .dtype = DType::kF16, .keras_flavour = {}});
  const LoadedModel half = load_model(folder / "half.safetensors");
  EXPECT_EQ(half.report.dtype, DType::kF16);
  for (const char* name : {"m.safetensors", "m.pth"}) {
    EXPECT_EQ(convert(half, folder / name).dtypes, std::vector{DType::kF16}) << name;
    const LoadedModel back = load_model(folder / name);
    EXPECT_EQ(back.report.dtype, DType::kF16) << name;
    expect_same_bits(*back.model, *half.model);
  }
}

TEST(Convert, NvlabsGetsItsIndexBuffers) {
  const TemporaryFolder folder;
  convert(make_model(), folder / "m.safetensors", {.layout = Layout::kNvlabs, .dtype = {}, .keras_flavour = {}});
  std::map<std::string, Tensor> buffers;
  for (const formats::NamedTensor& entry : formats::read_raw_file(folder / "m.safetensors").tensors) {
    if (is_index_buffer(entry.name)) buffers.emplace(entry.name, entry.tensor);
  }
  EXPECT_EQ(buffers.size(), 5u);
  const Tensor& index = buffers.at("levels.1.blocks.1.attn.relative_position_index");
  EXPECT_EQ(index.dtype(), DType::kI64);
  EXPECT_EQ(index.dims(), (Dims{4, 4}));
  // As NVlabs' code computes them for a 2x2 window.
  const std::vector<float> expected{4, 3, 1, 0, 5, 4, 2, 1, 7, 6, 4, 3, 8, 7, 5, 4};
  EXPECT_TRUE(std::ranges::equal(index.to_f32().values(), expected));
}

TEST(Convert, KerasFilesAreF32) {
  const TemporaryFolder folder;
  const LoadedModel model = make_model();
  convert(model, folder / "half.safetensors", {.layout = {}, .dtype = DType::kBF16, .keras_flavour = {}});
  const LoadedModel half = load_model(folder / "half.safetensors");
  EXPECT_EQ(convert(half, folder / "m.weights.h5").dtypes, std::vector{DType::kF32});
  expect_same_bits(*load_model(folder / "m.weights.h5").model, *half.model);
  EXPECT_EQ(error_of([&] {
              convert(model, folder / "n.weights.h5", {.layout = {}, .dtype = DType::kF16, .keras_flavour = {}});
            }),
            "[convert] " + folder / "n.weights.h5" + ": the keras layout is written in f32, asked for f16");
}

TEST(Convert, GcvitTfGetsItsClassNames) {
  const TemporaryFolder folder;
  const LoadedModel model = make_model();
  convert(model, folder / "m.weights.h5",
          {.layout = Layout::kKeras, .dtype = {}, .keras_flavour = KerasFlavour::kGcvitTf});
  const formats::RawFile raw = formats::read_raw_file(folder / "m.weights.h5");
  EXPECT_TRUE(std::ranges::any_of(raw.tensors, [](const formats::NamedTensor& entry) {
    return entry.name.starts_with("layers/gc_vi_t_level_1/");
  }));
  expect_same_bits(*load_model(folder / "m.weights.h5").model, *model.model);
}

TEST(Convert, WhatStaysBehindIsSaid) {
  const TemporaryFolder folder;
  LoadedModel model = make_model();
  model.info.classes = {"a", "b", "c"};
  model.info.temperature = 1.5;
  model.info.preprocess_json = R"({"preset":"timm"})";
  EXPECT_TRUE(convert(model, folder / "m.safetensors").left_behind.empty());
  EXPECT_EQ(convert(model, folder / "m.pth").left_behind,
            (std::vector<std::string>{"the class names were not written: this layout has no field for them",
                                      "the preprocessing was not written: this layout has no field for it",
                                      "the fitted temperature was not written: this layout has no field for it"}));
  model.info.classes.clear();
  model.info.temperature.reset();
  model.info.preprocess_json.clear();
  EXPECT_EQ(convert(model, folder / "m.weights.h5").left_behind,
            (std::vector<std::string>{"Keras' code pads its max pools with zeros, this model with minus infinity: "
                                      "answers will differ a little"}));
}

TEST(Convert, WhatALayoutCantHoldIsRefusedAndNothingIsWritten) {
  const TemporaryFolder folder;
  const auto refused = [&](const LoadedModel& model, const std::string& name, Layout layout) {
    const std::string path = folder / name;
    const std::string sentence =
        error_of([&] { convert(model, path, {.layout = layout, .dtype = {}, .keras_flavour = {}}); });
    EXPECT_EQ(folder.files(), 0u);
    return sentence.substr(sentence.find(name) + name.size() + 2);
  };
  const LoadedModel plain = make_model();
  const std::string pairs =
      ": canonical is .safetensors, timm and nvlabs are .safetensors or .pth, keras and gcvit-tf are .weights.h5 "
      "or .safetensors";
  EXPECT_EQ(refused(plain, "m.pth", Layout::kCanonical), "the canonical layout isn't kept in PyTorch files" + pairs);
  EXPECT_EQ(refused(plain, "m.weights.h5", Layout::kTimm), "the timm layout isn't kept in .weights.h5 files" + pairs);
  EXPECT_EQ(refused(plain, "m.pth", Layout::kKeras), "the keras layout isn't kept in PyTorch files" + pairs);

  model::GCViTConfig config = tiny_config();
  config.dim = 8;
  EXPECT_EQ(refused(make_model(config), "m.safetensors", Layout::kTimm),
            "timm has no such model: it narrows 8 channels to 8 in squeeze-and-excitation, this model to 2");
  config.squeeze_divisor = 8;
  EXPECT_EQ(refused(make_model(config), "m.safetensors", Layout::kNvlabs),
            "NVlabs' code has no such model: it narrows 8 channels to 2 in squeeze-and-excitation, this model to 8");

  config = tiny_config();
  config.image_width = 96;
  config.windows = {{{2, 3}, {2, 3}, {4, 6}, {2, 3}}};
  EXPECT_EQ(refused(make_model(config), "m.weights.h5", Layout::kKeras),
            "Keras' code has no such model: its windows are square, level1's are 2x3");
  config = tiny_config();
  config.windows[0] = {4, 4};
  EXPECT_EQ(refused(make_model(config), "m.pth", Layout::kNvlabs),
            "NVlabs' code has no such model: it halves level1's map 3 times to reach the window, this model 2 times");

  LoadedModel rewritten = make_model();
  rewritten.info.origin = ModelOrigin{.format = "keras", .layout = "keras", .sha256 = "", .keras_example_bias = true};
  EXPECT_NE(refused(rewritten, "m.weights.h5", Layout::kKeras).find("bias tables were rewritten"), std::string::npos);
}

}  // namespace
}  // namespace gcvit::weights
