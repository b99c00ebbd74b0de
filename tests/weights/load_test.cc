// SPDX-License-Identifier: Apache-2.0
#include "weights/load.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "model/initialise.h"
#include "base/random.h"
#include "tests/weights/test_files.h"
#include "weights/names.h"
#include "formats/safetensors.h"

namespace gcvit::weights {
namespace {

model::GCViTConfig tiny_config() {
  model::GCViTConfig config;
  config.dim = 8;
  config.depths = {1, 2, 1, 1};
  config.heads = {1, 2, 4, 2};
  config.windows = {{{2, 2}, {2, 2}, {4, 4}, {2, 2}}};
  config.mlp_ratio = 2.0;
  config.layer_scale = true;
  config.classes = 5;
  config.image_height = config.image_width = 64;
  return config;
}

class Load : public ::testing::Test {
 protected:
  Load() : model_(tiny_config()) {
    model::initialise(model_, 3);
    info_.classes = {"a", "b", "c", "d", "e"};
    info_.preprocess_json = R"({"preset":"keras"})";
  }

  /// The model's tensors as `layout` has them.
  formats::RawFile raw(Layout layout) const {
    formats::RawFile file{.format = "safetensors", .tensors = {}, .metadata = {}};
    for (const model::Parameter* parameter : std::as_const(model_).parameters()) {
      file.tensors.push_back(to_layout(layout, {parameter->name, parameter->tensor}));
    }
    return file;
  }

  void expect_same_values(const model::GCViT& other, bool but_head = false) const {
    const auto expected = std::as_const(model_).parameters();
    const auto found = other.parameters();
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (but_head && found[i]->name.starts_with("head.")) continue;
      EXPECT_EQ(found[i]->name, expected[i]->name);
      EXPECT_TRUE(std::ranges::equal(found[i]->tensor.values(), expected[i]->tensor.values())) << found[i]->name;
      EXPECT_EQ(found[i]->version, 1u);
    }
  }

  std::string refusal(formats::RawFile file, const LoadOptions& options = {}) const {
    return error_of([&] { load_model(std::move(file), "m", options); });
  }

  model::GCViT model_;
  ModelInfo info_;
  TemporaryFolder folder_;
};

Tensor& tensor_of(formats::RawFile& raw, const std::string& name) {
  return std::ranges::find(raw.tensors, name, &formats::NamedTensor::name)->tensor;
}

TEST_F(Load, WhatIsSavedComesBackBitForBit) {
  model::GCViTConfig config = tiny_config();
  config.pool_padding = ops::PoolPadding::kZero;
  model::GCViT zero_padded(config);
  model::initialise(zero_padded, 3);
  info_.temperature = 1.5;
  info_.origin = ModelOrigin{.format = "safetensors", .layout = "timm", .sha256 = "ab"};
  save_model(folder_ / "m.safetensors", zero_padded, info_);
  const LoadedModel loaded = load_model(folder_ / "m.safetensors");
  expect_same_values(*loaded.model);
  EXPECT_EQ(loaded.model->config(), config);
  EXPECT_EQ(loaded.info.config, config);
  EXPECT_EQ(loaded.info.classes, info_.classes);
  EXPECT_EQ(loaded.info.preprocess_json, info_.preprocess_json);
  EXPECT_EQ(loaded.info.temperature, 1.5);
  ASSERT_TRUE(loaded.info.origin);
  EXPECT_EQ(loaded.info.origin->sha256, "ab");
  EXPECT_EQ(loaded.info.source.format, "safetensors");
  EXPECT_EQ(loaded.info.source.layout, "canonical");
  EXPECT_TRUE(loaded.info.source.inferred.empty());
  EXPECT_TRUE(loaded.report.missing.empty() && loaded.report.unexpected.empty() && loaded.report.mismatched.empty());
  save_model(folder_ / "again.safetensors", *loaded.model, loaded.info);
  EXPECT_EQ(read_text(folder_ / "again.safetensors"), read_text(folder_ / "m.safetensors"));
}

/// A file of format 1 as this program first wrote it: every later one must read it, and writes the same bytes until the
/// format gets another number. The initial weights in it must not change either.
TEST_F(Load, TheFirstFormatIsReadAndWrittenAsEver) {
  model::GCViTConfig config;
  config.dim = 4;
  config.depths = {1, 2, 1, 1};
  config.heads = {1, 2, 4, 8};
  config.windows = {{{1, 1}, {1, 1}, {2, 2}, {1, 1}}};
  config.mlp_ratio = 0.5;
  config.layer_scale = true;
  config.classes = 2;
  config.image_height = config.image_width = 32;
  config.pool_padding = ops::PoolPadding::kZero;
  config.head_activation = model::HeadActivation::kSoftmax;
  model::GCViT model(config);
  model::initialise(model, 1);
  info_.classes = {"cat", "r\u00f6se"};
  info_.origin = ModelOrigin{.format = "keras", .layout = "keras", .sha256 = "00ff"};
  info_.temperature = 1.25;
  save_model(folder_ / "m.safetensors", model, info_, DType::kBF16);
  EXPECT_TRUE(read_text(folder_ / "m.safetensors") == read_text(reference("format1.safetensors")));

  const LoadedModel loaded = load_model(reference("format1.safetensors"));
  EXPECT_EQ(loaded.info.config, config);
  EXPECT_EQ(loaded.info.classes, info_.classes);
  EXPECT_EQ(loaded.info.preprocess_json, info_.preprocess_json);
  EXPECT_EQ(loaded.info.temperature, 1.25);
}

TEST_F(Load, HalfPrecisionIsRoundedOnce) {
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    save_model(folder_ / "half.safetensors", model_, info_, dtype);
    const LoadedModel loaded = load_model(folder_ / "half.safetensors");
    const auto found = std::as_const(*loaded.model).parameters();
    for (std::size_t i = 0; i < found.size(); ++i) {
      const Tensor expected = std::as_const(model_).parameters()[i]->tensor.to(dtype).to_f32();
      EXPECT_TRUE(std::ranges::equal(found[i]->tensor.values(), expected.values())) << found[i]->name;
    }
    save_model(folder_ / "again.safetensors", *loaded.model, loaded.info, dtype);
    EXPECT_EQ(read_text(folder_ / "again.safetensors"), read_text(folder_ / "half.safetensors"));
  }
}

TEST_F(Load, NvlabsNamesWithBuffersAndWrappers) {
  formats::RawFile file = raw(Layout::kNvlabs);
  file.tensors.push_back({"levels.0.blocks.0.attn.relative_position_index", Tensor(DType::kI64, {4, 4})});
  for (formats::NamedTensor& tensor : file.tensors) tensor.name = "module." + tensor.name;
  const LoadedModel loaded = load_model(std::move(file), "m");
  expect_same_values(*loaded.model);
  EXPECT_EQ(loaded.info.config, tiny_config());
  EXPECT_EQ(loaded.info.source.layout, "nvlabs");
  EXPECT_EQ(loaded.info.source.inferred.size(), 7u);
  EXPECT_TRUE(loaded.info.classes.empty());
  EXPECT_TRUE(loaded.report.unexpected.empty());
}

TEST_F(Load, TimmNames) {
  const LoadedModel loaded = load_model(raw(Layout::kTimm), "m");
  expect_same_values(*loaded.model);
  EXPECT_EQ(loaded.info.config, tiny_config());
  EXPECT_EQ(loaded.info.source.layout, "timm");
}

TEST_F(Load, AFileThatTimmWrote) {
  const LoadedModel loaded = load_model(reference("timm.safetensors"));
  EXPECT_TRUE(loaded.report.missing.empty() && loaded.report.unexpected.empty() && loaded.report.mismatched.empty());
  EXPECT_EQ(loaded.info.config.dim, 32);
  EXPECT_EQ(loaded.info.config.depths, (std::array<std::int32_t, 4>{1, 2, 1, 1}));
  EXPECT_EQ(loaded.info.config.image_height, 64);
  EXPECT_EQ(loaded.info.config.mlp_ratio, 1.0);
  EXPECT_TRUE(loaded.info.config.layer_scale);
  EXPECT_EQ(loaded.info.config.classes, 3);
  EXPECT_EQ(loaded.info.config.pool_padding, ops::PoolPadding::kNegativeInfinity);
  // Each value is where it belongs: compare with the raw file through the names alone.
  const formats::RawFile raw_file = formats::read_safetensors(reference("timm.safetensors"));
  for (const model::Parameter* parameter : std::as_const(*loaded.model).parameters()) {
    const std::string name = layout_name(Layout::kTimm, parameter->name);
    const auto found = std::ranges::find(raw_file.tensors, name, &formats::NamedTensor::name);
    ASSERT_NE(found, raw_file.tensors.end()) << name;
    EXPECT_TRUE(std::ranges::equal(found->tensor.to_f32().values(), parameter->tensor.values())) << name;
  }
}

TEST_F(Load, EveryFloatingDtypeAndNoOther) {
  formats::RawFile file = raw(Layout::kNvlabs);
  const Tensor bias = tensor_of(file, "head.bias");
  std::vector<double> doubles(bias.values().begin(), bias.values().end());
  const auto owner = std::make_shared<std::vector<double>>(doubles);
  tensor_of(file, "head.bias") = Tensor(DType::kF64, {5}, owner, std::as_bytes(std::span(*owner)));
  expect_same_values(*load_model(file, "m").model);
  tensor_of(file, "head.bias") = Tensor(DType::kI32, {5});
  EXPECT_EQ(refusal(file), "[weights] m: tensor \"head.bias\": expected f32, f16, bf16 or f64, found i32");
}

TEST_F(Load, RefusesValuesThatAreNotFinite) {
  const float broken_values[] = {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()};
  for (const float broken : broken_values) {
    formats::RawFile file = raw(Layout::kNvlabs);
    Tensor copy = Tensor::from_values({64}, tensor_of(file, "norm.weight").values());
    copy.mutable_values()[17] = broken;
    tensor_of(file, "norm.weight") = copy;
    EXPECT_EQ(refusal(file),
              std::string("[weights] m: tensor \"norm.weight\": element 17 is ") + (broken < 0 ? "-inf" : "nan"));
  }
}

TEST_F(Load, SaysWhatIsMissingAndOfAnotherShape) {
  formats::RawFile file = raw(Layout::kNvlabs);
  std::erase_if(file.tensors, [](const auto& tensor) { return tensor.name.starts_with("norm."); });
  file.tensors.push_back({"extra", Tensor(DType::kF32, {1})});
  tensor_of(file, "patch_embed.proj.bias") = Tensor(DType::kF32, {9});
  EXPECT_EQ(refusal(file),
            "[weights] m: 2 tensors are missing (\"norm.weight\", \"norm.bias\"); 1 tensor is of another shape "
            "(\"patch_embed.proj.bias\": expected [8], found [9]); 1 tensor is unexpected (\"extra\")");
  std::erase_if(file.tensors, [](const auto& tensor) { return tensor.name.starts_with("levels.0.blocks.0.norm"); });
  EXPECT_EQ(refusal(file).find("[weights] m: 6 tensors are missing (\"levels.0.blocks.0.norm1.weight\", "
                               "\"levels.0.blocks.0.norm1.bias\", \"levels.0.blocks.0.norm2.weight\", ...); "),
            0u);
}

TEST_F(Load, UnexpectedTensorsAreReportedOnly) {
  formats::RawFile file = raw(Layout::kTimm);
  file.tensors.push_back({"extra", Tensor(DType::kF32, {1})});
  file.tensors.push_back({"stages.0.blocks.0.attn.qkv.scale", Tensor(DType::kF32, {1})});
  const LoadedModel loaded = load_model(std::move(file), "m");
  EXPECT_EQ(loaded.report.unexpected, (std::vector<std::string>{"extra", "stages.0.blocks.0.attn.qkv.scale"}));
}

TEST_F(Load, AHeadOfAnotherSizeIsMadeAnewOnlyWhenAsked) {
  save_model(folder_ / "m.safetensors", model_, info_);
  const LoadedModel as_it_is = load_model(folder_ / "m.safetensors", {.image_size = {}, .classes = 5});
  EXPECT_FALSE(as_it_is.report.new_head);
  expect_same_values(*as_it_is.model);

  const LoadedModel loaded = load_model(folder_ / "m.safetensors", {.image_size = {}, .classes = 7, .seed = 1});
  EXPECT_TRUE(loaded.report.new_head);
  EXPECT_EQ(loaded.model->config().classes, 7);
  EXPECT_TRUE(loaded.info.classes.empty());
  ASSERT_EQ(loaded.report.mismatched.size(), 2u);
  EXPECT_EQ(loaded.report.mismatched[0].name, "head.weight");
  EXPECT_EQ(loaded.report.mismatched[0].expected, (Dims{7, 64}));
  EXPECT_EQ(loaded.report.mismatched[0].found, (Dims{5, 64}));
  expect_same_values(*loaded.model, true);
  const model::Parameter& head =
      **std::ranges::find(std::as_const(*loaded.model).parameters(), "head.weight", &model::Parameter::name);
  EXPECT_EQ(head.tensor.dims(), (Dims{7, 64}));
  EXPECT_GT(std::abs(head.tensor.values()[0]), 0.0f);
}

TEST_F(Load, AHeadlessFileNeedsTheClassesAskedFor) {
  formats::RawFile file = raw(Layout::kTimm);
  std::erase_if(file.tensors, [](const auto& tensor) { return tensor.name.starts_with("head."); });
  EXPECT_EQ(refusal(file), "[weights] m: no \"head.fc.weight\", which tells the classes");
  const LoadedModel loaded = load_model(file, "m", {.image_size = {}, .classes = 4});
  EXPECT_TRUE(loaded.report.new_head);
  EXPECT_EQ(loaded.report.missing, (std::vector<std::string>{"head.weight", "head.bias"}));
}

/// Under a wrapper that keeps the head itself, and under other names.
TEST_F(Load, AHeadThatIsCalledOtherwiseIsTakenWhereItIsTheOnlyOne) {
  const auto renamed = [&](Layout layout, const std::string& prefix, const std::string& head) {
    formats::RawFile file = raw(layout);
    const std::string own = layout == Layout::kTimm ? "head.fc." : "head.";
    for (formats::NamedTensor& tensor : file.tensors) {
      tensor.name = tensor.name.starts_with(own) ? head + tensor.name.substr(own.size() - 1) : prefix + tensor.name;
    }
    return file;
  };
  const std::tuple<Layout, const char*, const char*> cases[] = {{Layout::kTimm, "backbone.", "head"},
                                                                {Layout::kTimm, "model.backbone.", "model.classifier"},
                                                                {Layout::kTimm, "", "head"},
                                                                {Layout::kTimm, "", "fc"},
                                                                {Layout::kTimm, "net.", "net.classifier"},
                                                                {Layout::kNvlabs, "backbone.", "head.fc"},
                                                                {Layout::kNvlabs, "module.encoder.", "module.fc"}};
  for (const auto& [layout, prefix, head] : cases) {
    SCOPED_TRACE(fmt::format("{} {}", prefix, head));
    const LoadedModel loaded = load_model(renamed(layout, prefix, head), "m");
    expect_same_values(*loaded.model);
    EXPECT_TRUE(loaded.report.unexpected.empty());
    EXPECT_EQ(loaded.report.notices,
              (std::vector{fmt::format("m: \"{}.weight\" is taken as the head, as there is no \"{}head.{}weight\"",
                                       head, prefix, layout == Layout::kTimm ? "fc." : "")}));
  }
  // Two that it could be, another place, another shape, no bias.
  formats::RawFile two = renamed(Layout::kTimm, "backbone.", "head");
  two.tensors.push_back({"fc.weight", Tensor(DType::kF32, {3, 64})});
  two.tensors.push_back({"fc.bias", Tensor(DType::kF32, {3})});
  EXPECT_EQ(refusal(two),
            "[weights] m: no \"backbone.head.fc.weight\", which tells the classes; beside the model's "
            "tensors found \"head.weight\", \"fc.weight\"");
  EXPECT_NE(refusal(renamed(Layout::kTimm, "backbone.", "loss.head")).find("found \"loss.head.weight\""),
            std::string::npos);
  formats::RawFile other = renamed(Layout::kNvlabs, "a.", "head");
  tensor_of(other, "head.weight") = Tensor(DType::kF32, {5, 32});
  EXPECT_NE(refusal(other).find("no \"a.head.weight\", which tells the classes; "), std::string::npos);
  formats::RawFile bare = renamed(Layout::kNvlabs, "a.", "head");
  std::erase_if(bare.tensors, [](const auto& tensor) { return tensor.name == "head.bias"; });
  EXPECT_NE(refusal(bare).find("no \"a.head.weight\", which tells the classes; "), std::string::npos);
  // A model's own head is its head.
  formats::RawFile own = raw(Layout::kTimm);
  own.tensors.push_back({"classifier.weight", Tensor(DType::kF32, {3, 64})});
  own.tensors.push_back({"classifier.bias", Tensor(DType::kF32, {3})});
  expect_same_values(*load_model(own, "m").model);
}

TEST_F(Load, OtherLayersOfAKerasModelAreSaid) {
  formats::RawFile file = raw(Layout::kKeras);
  for (formats::NamedTensor& tensor : file.tensors) tensor.name = "layers/gc_vi_t/" + tensor.name;
  EXPECT_TRUE(load_model(file, "m").report.notices.empty());
  file.groups = {"layers", "layers/gc_vi_t", "layers/gc_vi_t/layers", "layers/gc_vi_t/layers/level",
                 "layers/rescaling"};
  EXPECT_EQ(load_model(file, "m").report.notices,
            (std::vector<std::string>{"m: the layer \"rescaling\" stands beside the model and is not computed here: if "
                                      "it prepares photos, --preprocess must do what it did"}));
  file.keras_config =
      R"({"class_name": "Sequential", "config": {"layers": [)"
      R"({"class_name": "Rescaling", "config": {"scale": 0.5, "offset": -1}}, {"class_name": "GCViT"}]}})";
  EXPECT_EQ(
      load_model(file, "m").report.notices,
      (std::vector<std::string>{"m: the layer \"Rescaling\" (scale 0.5, offset -1) stands before the model and is "
                                "not computed here: --preprocess must do what it did"}));
}

TEST_F(Load, TwoKerasModelsAreRefusedWithTheFilesName) {
  formats::RawFile file = raw(Layout::kKeras);
  for (formats::NamedTensor& tensor : raw(Layout::kKeras).tensors) {
    file.tensors.push_back({"b/" + tensor.name, std::move(tensor.tensor)});
  }
  for (std::size_t i = 0; i < file.tensors.size() / 2; ++i) file.tensors[i].name = "a/" + file.tensors[i].name;
  EXPECT_EQ(refusal(file).find("[weights] m: expected one model, found several: "), 0u) << refusal(file);
}

TEST_F(Load, OtherWeightsOfTheSameKindAreSaid) {
  formats::RawFile file = raw(Layout::kTimm);
  file.place = "\"model\"";
  file.others = {{"\"best_model\"", false}};
  EXPECT_EQ(
      load_model(file, "m").report.notices,
      (std::vector<std::string>{"m: holds other raw weights (\"best_model\") beside those of \"model\", which are "
                                "used; save the ones that are meant by themselves"}));
  file.others = {{"\"ema\"", true}};
  EXPECT_EQ(load_model(file, "m", {.averaged = false}).report.notices, std::vector<std::string>{});
}

TEST_F(Load, AveragesWithoutNamesAreSaid) {
  formats::RawFile file = raw(Layout::kTimm);
  file.place = "\"model\"";
  file.nameless = "\"ema\" > \"shadow_params\"";
  EXPECT_EQ(
      load_model(file, "m").report.notices,
      (std::vector<std::string>{
          "m: holds averaged weights without names (\"ema\" > \"shadow_params\"), which are not read, and the raw "
          "ones are used; for the averaged ones copy them into the model and save its state_dict()"}));
  EXPECT_EQ(refusal(file, {.averaged = true}),
            "[weights] m: expected averaged (EMA) weights, found raw ones: \"model\", and averaged ones without names "
            "(\"ema\" > \"shadow_params\"), which are not read: copy them into the model and save its state_dict()");
  EXPECT_TRUE(load_model(file, "m", {.averaged = false}).report.notices.empty());
}

TEST_F(Load, MetadataThatDoesNotFitTheTensorsIsRefused) {
  formats::RawFile file = raw(Layout::kNvlabs);
  model::GCViTConfig config = tiny_config();
  config.classes = 9;
  ModelInfo info;
  info.config = config;
  file.metadata = serialise_model_info(info);
  EXPECT_EQ(refusal(file),
            "[weights] m: 2 tensors are of another shape (\"head.weight\": expected [9, 64], found [5, 64], "
            "\"head.bias\": expected [9], found [5])");
}

TEST_F(Load, FilesThatAreNoModel) {
  EXPECT_EQ(error_of([&] { load_model(folder_ / "none"); }), "[weights] " + folder_ / "none" + ": no such file");
  write_text(folder_ / "empty.safetensors", "");
  EXPECT_EQ(error_of([&] { load_model(folder_ / "empty.safetensors"); }),
            "[weights] " + folder_ / "empty.safetensors" + ": the file is empty");
  write_text(folder_ / "photo", "\xff\xd8\xff\xe0 and so on");
  EXPECT_EQ(error_of([&] { load_model(folder_ / "photo"); }),
            "[weights] " + folder_ / "photo" + ": expected a weight file, found a JPEG image");
  write_text(folder_ / "text.txt", "hello, world");
  EXPECT_EQ(
      error_of([&] { load_model(folder_ / "text.txt"); }),
      "[weights] " + folder_ / "text.txt" + ": expected a weight file, found a text that begins \"hello, world\"");
  EXPECT_EQ(refusal({.format = "safetensors", .tensors = {}, .metadata = {}}),
            "[weights] m: expected a GCViT's tensors, found none");
  EXPECT_EQ(
      refusal({.format = "safetensors", .tensors = {{"conv1.weight", Tensor(DType::kF32, {1})}}, .metadata = {}}),
      "[weights] m: expected a GCViT's tensors, as \"patch_embed.proj.weight\" (NVlabs), \"stem.conv1.weight\" (timm) "
      "or \"layers/patch_embed/proj/vars/0\" (Keras), found 1 other, as \"conv1.weight\"");
}

TEST_F(Load, SavingRefusesWhatCannotBeLoaded) {
  info_.classes.pop_back();
  EXPECT_EQ(error_of([&] { save_model(folder_ / "m", model_, info_); }),
            "[weights] " + folder_ / "m" + ": expected 5 class names, found 4");
  info_.classes.clear();
  model::Parameter& bias = *model_.parameters()[1];
  Tensor large = Tensor::from_values(bias.dims, bias.tensor.values());
  large.mutable_values()[2] = 70000.0f;
  bias.tensor = large;
  EXPECT_EQ(
      error_of([&] { save_model(folder_ / "m", model_, info_, DType::kF16); }),
      "[weights] " + folder_ / "m" + ": tensor \"patch_embed.proj.bias\": element 2, 70000, can't be written as f16");
  bias.tensor = Tensor();
  EXPECT_EQ(error_of([&] { save_model(folder_ / "m", model_, info_); }),
            "[weights] " + folder_ / "m" + ": patch_embed.proj.bias has no values to write");
  EXPECT_EQ(folder_.files(), 0u);
}

/// Random damage to a model file's header: a model or a sentence.
TEST_F(Load, DamagedModelFilesAreAnsweredBySentences) {
  save_model(folder_ / "m.safetensors", model_, info_, DType::kBF16);
  const std::string valid = read_text(folder_ / "m.safetensors");
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, valid.data(), 8);
  int refused = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    Random random(seed);
    std::string text = valid;
    // Same length, so that the JSON often stays whole and the damage reaches metadata, names and shapes.
    for (std::uint32_t changes = 1 + random.below(2); changes > 0; --changes) {
      text[8 + random.below(static_cast<std::uint32_t>(header_size))] = "0123456789abz.\"[{,"[random.below(18)];
    }
    const Bytes bytes(text);
    try {
      load_model(formats::parse_safetensors(bytes.span, bytes.owner, "m"), "m");
    } catch (const Error& error) {
      EXPECT_NE(std::string_view(error.what()).find("] m: "), std::string_view::npos) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, 300);
}

TEST_F(Load, ReportsTheNarrowTypeThatAllParametersHave) {
  formats::RawFile file = raw(Layout::kNvlabs);
  for (formats::NamedTensor& entry : file.tensors) entry.tensor = entry.tensor.to(DType::kF16);
  EXPECT_EQ(load_model(file, "f").report.dtype, DType::kF16);
  file.tensors.back().tensor = file.tensors.back().tensor.to(DType::kBF16);
  EXPECT_EQ(load_model(file, "f").report.dtype, DType::kF32);
  EXPECT_EQ(load_model(raw(Layout::kNvlabs), "f").report.dtype, DType::kF32);
}

TEST_F(Load, TheKerasExamplesBiasIsWrittenIntoTheTablesOnceAndRecorded) {
  LoadOptions rewriting;
  rewriting.keras_example_bias = true;
  const LoadedModel loaded = load_model(raw(Layout::kNvlabs), "f", rewriting);
  ASSERT_TRUE(loaded.info.origin.has_value());
  EXPECT_TRUE(loaded.info.origin->keras_example_bias);
  const auto parameters = std::as_const(*loaded.model).parameters();
  const auto before = std::as_const(model_).parameters();
  std::size_t tables = 0;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i]->role != ops::Role::kBiasTable || parameters[i]->dims[1] < 2) continue;
    ++tables;
    const auto heads = static_cast<std::size_t>(parameters[i]->dims[1]);
    for (std::size_t head = 0; head < heads; ++head) {
      EXPECT_EQ(parameters[i]->tensor.values()[heads + head], before[i]->tensor.values()[1]);
    }
  }
  EXPECT_EQ(tables, 4u);

  const TemporaryFolder folder;
  save_model(folder / "m.safetensors", *loaded.model, loaded.info);
  EXPECT_TRUE(load_model(folder / "m.safetensors").info.origin->keras_example_bias);
  EXPECT_EQ(error_of([&] { load_model(folder / "m.safetensors", rewriting); }),
            "[weights] " + folder / "m.safetensors" +
                ": the bias tables were rewritten as the Keras example reads them when the file was made");
}

TEST_F(Load, TwoNamesOfOneTensorAreRefused) {
  formats::RawFile file = raw(Layout::kJax);
  file.tensors.push_back({"norm/scale", Tensor(DType::kF32, {64})});
  const std::string sentence = error_of([&] { load_model(file, "f"); });
  EXPECT_NE(sentence.find("two tensors are \"norm.weight\""), std::string::npos) << sentence;
}

TEST_F(Load, WhatNoFileHoldsIsHeldAgainstTheMemoryAllowed) {
  LoadOptions options{.classes = 1'000'000, .max_memory = 16 << 20};
  EXPECT_EQ(
      refusal(raw(Layout::kNvlabs), options),
      "[memory] m: the model's parameters: about 248 MiB are needed, 16 MiB allowed; a larger --max-memory allows "
      "more");
  // Shapes cost nothing.
  options.shapes_only = true;
  const LoadedModel shapes = load_model(raw(Layout::kNvlabs), "m", options);
  EXPECT_TRUE(shapes.report.new_head);
  EXPECT_TRUE(std::as_const(*shapes.model).parameters().back()->tensor.empty());
  options = {.image_size = model::ImageSize{8192, 8192}, .max_memory = 16 << 20};
  EXPECT_TRUE(refusal(raw(Layout::kNvlabs), options).starts_with("[memory] m: the model's parameters: about "));
  options.max_memory = std::uint64_t{1} << 30;
  options.image_size = model::ImageSize{64, 64};
  expect_same_values(*load_model(raw(Layout::kNvlabs), "m", options).model);
}

TEST_F(Load, AModelAsTrainingScriptsSaveIt) {
  const LoadedModel loaded = load_model(reference("torch/timm.zip.pth"));
  EXPECT_EQ(loaded.info.config.dim, 8);
  EXPECT_EQ(loaded.info.config.classes, 3);
  EXPECT_EQ(loaded.info.source.format, "pytorch");
  EXPECT_EQ(loaded.info.source.layout, "timm");
  EXPECT_TRUE(loaded.report.unexpected.empty());
  EXPECT_NE(std::ranges::find(loaded.info.source.inferred, "weights from \"state_dict\" of the saved dict"),
            loaded.info.source.inferred.end());
}

}  // namespace
}  // namespace gcvit::weights
