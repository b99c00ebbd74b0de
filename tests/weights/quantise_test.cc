// SPDX-License-Identifier: Apache-2.0
#include "weights/quantise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "base/random.h"
#include "formats/safetensors.h"
#include "model/initialise.h"
#include "model/tensor_table.h"
#include "tests/weights/test_files.h"
#include "weights/convert.h"
#include "weights/load.h"

namespace gcvit::weights {
namespace {

std::vector<int> integers_of(const ops::TypedValues& typed) {
  std::vector<int> integers;
  for (const std::byte byte : typed.values.bytes()) integers.push_back(static_cast<std::int8_t>(byte));
  return integers;
}

TEST(Quantise, RoundsEachChannelByItsLargestMagnitude) {
  const std::vector<float> values = {1.0f, -2.0f, 0.5f, 0.0f, 0.0f, 0.0f, -127.0f, 63.5f, 62.5f};
  const ops::TypedValues typed = quantised(Tensor::from_values({3, 3}, values));
  EXPECT_EQ(typed.values.dims(), (Dims{3, 3}));
  EXPECT_EQ(integers_of(typed), (std::vector{64, -127, 32, 0, 0, 0, -127, 64, 62}));  // ties to even
  EXPECT_TRUE(std::ranges::equal(typed.scales.values(), std::vector{2.0f / 127.0f, 1.0f, 1.0f}));
}

TEST(Quantise, EveryValueIsWithinHalfAStep) {
  Random random(7);
  Tensor values(DType::kF32, {5, 4, 3, 3});
  for (float& value : values.mutable_values()) value = random.normal();
  const ops::TypedValues typed = quantised(values);
  const Tensor back = ops::to_f32(typed);
  for (std::int64_t i = 0; i < values.size(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    EXPECT_LE(std::abs(back.values()[at] - values.values()[at]), 0.5001f * typed.scales.values()[at / 36]);
  }
  // What has been rounded once stays as it is.
  const ops::TypedValues again = quantised(back);
  EXPECT_EQ(integers_of(again), integers_of(typed));
}

TEST(Quantise, ChannelsOfTinyValuesBecomeZeros) {
  const ops::TypedValues typed =
      quantised(Tensor::from_values({1, 2}, std::vector{std::numeric_limits<float>::denorm_min(), 0.0f}));
  EXPECT_EQ(integers_of(typed), (std::vector{0, 0}));
  EXPECT_EQ(typed.scales.values()[0], 1.0f);
}

TEST(Quantise, ScalesAreChecked) {
  EXPECT_EQ(fault_of_scales(Tensor::from_values({2}, std::vector{0.0f, 0.5f}), {2, 3}), "");
  EXPECT_EQ(fault_of_scales(Tensor(DType::kF16, {2}), {2, 3}),
            "expected f32 [2], one an output channel, found f16 [2]");
  EXPECT_EQ(fault_of_scales(Tensor(DType::kF32, {2, 1}), {2, 3}),
            "expected f32 [2], one an output channel, found f32 [2, 1]");
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(fault_of_scales(Tensor::from_values({2}, std::vector{1.0f, infinity}), {2, 3}),
            "element 1: expected a scale from 0 up, found inf");
  EXPECT_EQ(fault_of_scales(Tensor::from_values({1}, std::vector{-1.0f}), {1, 3}),
            "element 0: expected a scale from 0 up, found -1");
  EXPECT_EQ(fault_of_scales(Tensor::from_values({1}, std::vector{std::nanf("")}), {1, 3}),
            "element 0: expected a scale from 0 up, found nan");
}

/// A model of which int8 is enough for some weights, with the rest as f32 or bf16.
class QuantisedFile : public ::testing::TestWithParam<DType> {
 protected:
  QuantisedFile() : model_(config()) {
    model::initialise(model_, 3);
    info_.classes = {"a", "b", "c"};
    info_.quantisation_json = R"({"scheme":"int8"})";
    quantised_ = quantise(model_);
    for (model::Parameter* parameter : model_.parameters()) {
      if (parameter->tensor.dtype() == DType::kF32) parameter->tensor = parameter->tensor.to(GetParam());
    }
    save_model(file_, model_, info_);
  }

  static model::GCViTConfig config() {
    model::GCViTConfig config;
    config.dim = 8;
    config.depths = {1, 2, 1, 1};
    config.heads = {1, 2, 4, 2};
    config.windows = {{{2, 2}, {2, 2}, {4, 4}, {2, 2}}};
    config.mlp_ratio = 2.0;
    config.classes = 3;
    config.image_height = config.image_width = 64;
    return config;
  }

  TemporaryFolder folder_;
  std::string file_ = folder_ / "int8.safetensors";
  model::GCViT model_;
  ModelInfo info_;
  std::size_t quantised_ = 0;
};

TEST_P(QuantisedFile, IsRestoredToFloats) {
  const LoadedModel loaded = load_model(file_);
  EXPECT_EQ(quantised_, 4u * 5 + 2 * 4 + 7);  // of five blocks, four downsamplers and seven extractions of queries
  EXPECT_EQ(loaded.report.quantised(), quantised_);
  EXPECT_EQ(loaded.report.dtype, GetParam());
  EXPECT_EQ(loaded.report.notices, std::vector<std::string>{file_ + ": 35 int8 weights are restored to floats"});
  EXPECT_TRUE(loaded.report.unexpected.empty());
  EXPECT_EQ(loaded.info.quantisation_json, "");
  for (std::size_t i = 0; i < model_.parameters().size(); ++i) {
    const ops::Parameter& expected = *model_.parameters()[i];
    const ops::Parameter& found = *loaded.model->parameters()[i];
    EXPECT_TRUE(std::ranges::equal(found.tensor.values(), ops::to_f32({expected.tensor, expected.scales}).values()));
    EXPECT_TRUE(found.scales.empty());
  }
  save_model(folder_ / "floats.safetensors", *loaded.model, loaded.info);
  EXPECT_EQ(formats::read_safetensors(folder_ / "floats.safetensors").metadata.at("gcvit.format"), "1");
}

TEST_P(QuantisedFile, KeepsItsTypesWhereThatIsAskedFor) {
  const LoadedModel loaded = load_model(file_, {.keep_types = true});
  EXPECT_TRUE(loaded.report.notices.empty());
  EXPECT_EQ(loaded.info.quantisation_json, info_.quantisation_json);
  const ConvertReport report = convert(loaded, folder_ / "again.safetensors");
  EXPECT_EQ(report.dtypes, (std::vector{GetParam(), DType::kI8}));
  EXPECT_EQ(read_text(folder_ / "again.safetensors"), read_text(file_));
  const formats::RawFile raw = formats::read_safetensors(file_);
  EXPECT_EQ(raw.metadata.at("gcvit.format"), "2");
  EXPECT_EQ(raw.metadata.at("gcvit.quantization"), info_.quantisation_json);
}

TEST_P(QuantisedFile, GivesValuesOneByOne) {
  LoadedModel loaded = load_model(file_, {.values_later = true});
  for (std::size_t i = 0; i < model_.parameters().size(); ++i) {
    const ops::Parameter& expected = *model_.parameters()[i];
    const ops::TypedValues typed = loaded.values->typed(*loaded.model->parameters()[i]);
    EXPECT_EQ(typed.values.dtype(), expected.tensor.dtype());
    EXPECT_TRUE(std::ranges::equal(typed.values.bytes(), expected.tensor.bytes()));
    EXPECT_EQ(typed.scales.empty(), expected.scales.empty());
  }
}

TEST_P(QuantisedFile, AnotherImageSizeResizesTheTablesAlone) {
  const LoadedModel loaded = load_model(file_, {.image_size = model::ImageSize{96, 64}, .keep_types = true});
  for (const model::Parameter* parameter : std::as_const(*loaded.model).parameters()) {
    const bool is_table = parameter->role == ops::Role::kBiasTable;
    EXPECT_EQ(parameter->tensor.dtype() == DType::kI8, model::may_be_i8(*model::find_tensor(parameter->name)->row));
    if (is_table) {
      EXPECT_EQ(parameter->tensor.dtype(), DType::kF32);
    }
  }
  EXPECT_EQ(convert(loaded, folder_ / "other.safetensors").dtypes, (std::vector{GetParam(), DType::kI8}));
}

TEST_P(QuantisedFile, BrokenScalesAreRefused) {
  const auto refusal = [&](const auto& change) {
    formats::RawFile raw = formats::read_safetensors(file_);
    change(raw.tensors);
    return error_of([&] { load_model(std::move(raw), "m"); });
  };
  const std::string weight = "levels.0.blocks.0.mlp.fc1.weight";
  const auto set = [&](const std::string& name, Tensor tensor) {
    return [=](std::vector<formats::NamedTensor>& tensors) {
      std::ranges::find(tensors, name, &formats::NamedTensor::name)->tensor = tensor;
    };
  };
  EXPECT_EQ(refusal([&](std::vector<formats::NamedTensor>& tensors) {
              std::erase_if(tensors, [&](const auto& entry) { return entry.name == weight + ".scale"; });
            }),
            "[weights] m: tensor \"" + weight + "\": expected f32, f16, bf16 or f64, or i8 with \"" + weight +
                ".scale\", found i8");
  EXPECT_EQ(refusal(set(weight + ".scale", Tensor(DType::kF32, {3}))),
            "[weights] m: tensor \"" + weight + ".scale\": expected f32 [16], one an output channel, found f32 [3]");
  EXPECT_EQ(refusal(set(weight + ".scale", Tensor::from_values({16}, std::vector(16, -1.0f)))),
            "[weights] m: tensor \"" + weight + ".scale\": element 0: expected a scale from 0 up, found -1");
}

TEST_P(QuantisedFile, ScalesOfInputsAreLeftAlone) {
  formats::RawFile raw = formats::read_safetensors(file_);
  raw.tensors.push_back({"levels.0.blocks.0.mlp.fc1.weight.input_scale", Tensor(DType::kF32, {1})});
  EXPECT_TRUE(load_model(std::move(raw), "m").report.unexpected.empty());
}

INSTANTIATE_TEST_SUITE_P(Floats, QuantisedFile, ::testing::Values(DType::kF32, DType::kBF16));

}  // namespace
}  // namespace gcvit::weights
