// SPDX-License-Identifier: Apache-2.0
#include "gcvit/model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>

#include "gcvit/session.h"
#include "inference/model_state.h"
#include "inference/session_state.h"
#include "native/native_backend.h"
#include "tests/inference/test_images.h"
#include "tests/weights/test_files.h"

namespace gcvit {
namespace {

using weights::error_of;
using weights::read_text;
using weights::TemporaryFolder;
using weights::write_text;

struct ModelTest : ::testing::Test {
  TemporaryFolder folder;
  std::string file = folder / "m.safetensors";
  ModelTest() { testing::write_tiny_model(file, testing::colour_names()); }

  std::vector<float> tensor() const { return testing::random_values(64 * 64 * 3, 3); }
};

template <typename Act>
std::optional<ErrorCode> code_of(const Act& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.code();
  }
  return std::nullopt;
}

TEST_F(ModelTest, ComputesWhatItsParametersDo) {
  const weights::LoadedModel loaded = weights::load_model(file);
  ThreadPool pool(2);
  native::NativeBackend backend(pool);
  backend.start(1);
  const ops::Value logits = loaded.model->forward(backend, backend.input({64, 64, 3}, tensor()));
  const std::span<const float> expected = backend.read(logits);
  Session session(Model::open(file));
  EXPECT_EQ(session.logits(tensor()), (std::vector<float>{expected.begin(), expected.end()}));
}

TEST_F(ModelTest, CopiesAndSessionsShareWeightsAndGiveTheSameBits) {
  const Model model = Model::open(file, {.threads = 2});
  const Model copy = model;
  Session first(model);
  Session second(copy, {.threads = 3});
  EXPECT_EQ(model.state().packed.get(), copy.state().packed.get());
  EXPECT_EQ(first.threads(), 2);
  EXPECT_EQ(second.threads(), 3);
  EXPECT_EQ(first.logits(tensor()), second.logits(tensor()));
}

TEST_F(ModelTest, OpensBytesThatAreGoneAfterwards) {
  std::vector<float> expected = Session(Model::open(file)).logits(tensor());
  std::string bytes = read_text(file);
  const Model model = Model::open(std::as_bytes(std::span(bytes)), "from memory");
  std::ranges::fill(bytes, '\xff');
  EXPECT_EQ(Session(model).logits(tensor()), expected);
  EXPECT_EQ(model.file(), "from memory");
  EXPECT_EQ(error_of([] { Model::open(std::span<const std::byte>(), "nothing"); }),
            "[weights] nothing: expected a weight file, found no bytes");
  EXPECT_EQ(error_of([] { Model::open(std::as_bytes(std::span("abcdefgh")), "text"); }).find("[weights] text: "), 0u);
}

TEST_F(ModelTest, AFileMayBeCutShortOrRemovedOnceOpened) {
  for (const bool keep : {false, true}) {
    testing::write_tiny_model(file, testing::colour_names());
    const Model model = Model::open(file, {.keep_parameters = keep});
    Session session(model);
    const std::vector<float> expected = session.logits(tensor());
    std::filesystem::resize_file(file, 10);
    EXPECT_EQ(session.logits(tensor()), expected);
    EXPECT_EQ(Session(model).logits(tensor()), expected);
    EXPECT_EQ(model.parameter("head.weight").size(), 7u * 64u);
    std::filesystem::remove(file);
    EXPECT_EQ(Session(model).logits(tensor()), expected);
  }
}

TEST_F(ModelTest, UnpacksEveryParameterExactly) {
  const weights::LoadedModel loaded = weights::load_model(file);
  const Model packed = Model::open(file);
  const Model kept = Model::open(file, {.keep_parameters = true});
  const std::vector<ParameterInfo> parameters = packed.parameters();
  ASSERT_EQ(parameters.size(), loaded.model->parameters().size());
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const ops::Parameter& expected = *loaded.model->parameters()[i];
    EXPECT_EQ(parameters[i].name, expected.name);
    EXPECT_EQ(parameters[i].dims, expected.dims);
    const std::span<const float> values = expected.tensor.values();
    const std::vector<float> all(values.begin(), values.end());
    EXPECT_EQ(packed.parameter(expected.name), all) << expected.name;
    EXPECT_EQ(kept.parameter(expected.name), all) << expected.name;
  }
  EXPECT_GT(kept.weight_bytes(), packed.weight_bytes());
  EXPECT_EQ(code_of([&] { packed.parameter("head.weights"); }), ErrorCode::kNotFound);
}

TEST_F(ModelTest, RoundedParametersAreThereOnlyWhereKept) {
  const Model rounded = Model::open(file, {.precision = Precision::kBf16});
  EXPECT_EQ(error_of([&] { rounded.parameter("head.weight"); }),
            "[model] " + file +
                ": \"head.weight\" was rounded to bf16 when it was packed: its values are there with keep_parameters "
                "alone");
  EXPECT_EQ(rounded.parameter("head.bias"), Model::open(file).parameter("head.bias"));
  const Model kept = Model::open(file, {.precision = Precision::kBf16, .keep_parameters = true});
  EXPECT_EQ(kept.parameter("head.weight"), Model::open(file).parameter("head.weight"));
  const std::vector<float> exact = Session(Model::open(file)).logits(tensor());
  const std::vector<float> near = Session(rounded).logits(tensor());
  EXPECT_NE(near, exact);
  EXPECT_LT(testing::relative_error(near, exact), 0.05);
  EXPECT_EQ(Session(kept).logits(tensor()), near);
}

TEST_F(ModelTest, TellsAboutItself) {
  const Model model = Model::open(file, {.threads = 3});
  EXPECT_EQ(model.image_height(), 64);
  EXPECT_EQ(model.image_width(), 64);
  EXPECT_EQ(model.classes(), 7);
  EXPECT_EQ(model.labels(), testing::colour_names());
  EXPECT_EQ(model.format(), "safetensors");
  EXPECT_EQ(model.layout(), "canonical");
  EXPECT_EQ(model.file(), file);
  EXPECT_EQ(model.threads(), 3);
  EXPECT_EQ(model.precision(), Precision::kF32);
  EXPECT_TRUE(model.notices().empty());
  EXPECT_NE(model.preprocessing().find("timm"), std::string::npos);
}

TEST_F(ModelTest, OpensForOtherImages) {
  for (const WindowMode mode : {WindowMode::kExact, WindowMode::kFixed}) {
    const Model model = Model::open(file, {.image_height = 96, .image_width = 160, .window_mode = mode});
    EXPECT_EQ(model.image_height(), 96);
    EXPECT_EQ(model.image_width(), 160);
    EXPECT_EQ(model.state().config().native_image.has_value(), mode == WindowMode::kFixed);
    weights::LoadOptions wanted;
    wanted.image_size = model::ImageSize{96, 160};
    wanted.window_mode = mode == WindowMode::kExact ? model::WindowMode::kExact : model::WindowMode::kFixed;
    const weights::LoadedModel loaded = weights::load_model(file, wanted);
    ThreadPool pool(2);
    native::NativeBackend backend(pool);
    backend.start(1);
    const std::vector<float> input = testing::random_values(96 * 160 * 3, 4);
    const ops::Value logits = loaded.model->forward(backend, backend.input({96, 160, 3}, input));
    const std::span<const float> expected = backend.read(logits);
    EXPECT_EQ(Session(model).logits(input), (std::vector<float>{expected.begin(), expected.end()}));
  }
}

TEST_F(ModelTest, RefusesOptionsOutOfRange) {
  EXPECT_NE(error_of([&] { Model::open(file, {.threads = -1}); }).find("found -1"), std::string::npos);
  EXPECT_NE(error_of([&] { Model::open(file, {.image_height = 100, .image_width = 96}); }).find("96 or 128"),
            std::string::npos);
  EXPECT_EQ(code_of([&] { Model::open(file, {.max_memory = 1 << 20}); }), ErrorCode::kOutOfBudget);
  EXPECT_EQ(code_of([&] { Model::open(folder / "none"); }), ErrorCode::kNotFound);
  write_text(folder / "broken.safetensors", "no weights");
  EXPECT_EQ(code_of([&] { Model::open(folder / "broken.safetensors"); }), ErrorCode::kInvalidFile);
}

TEST_F(ModelTest, SaysHowFarOpeningIsAndCanBeCancelled) {
  std::vector<double> done;
  Model::open(file, {.progress = [&](double share) { done.push_back(share); }});
  ASSERT_GT(done.size(), 10u);
  EXPECT_EQ(done.front(), 0.0);
  EXPECT_EQ(done.back(), 1.0);
  EXPECT_TRUE(std::ranges::is_sorted(done));
  std::stop_source stop;
  const ModelOptions options{.progress =
                                 [&](double share) {
                                   if (share > 0.5) stop.request_stop();
                                 },
                             .stop = stop.get_token()};
  EXPECT_EQ(code_of([&] { Model::open(file, options); }), ErrorCode::kCancelled);
}

TEST_F(ModelTest, PredictionsAreSortedAndSumToOne) {
  const Model model = Model::open(file);
  const std::vector<float> logits{0, 3, 1, 3, -1, 2, 0};
  const std::vector<Prediction> all = model.predictions(logits, 100);
  ASSERT_EQ(all.size(), 7u);
  const std::int32_t order[] = {1, 3, 5, 2, 0, 6, 4};
  double sum = 0;
  for (std::size_t i = 0; i < 7; ++i) {
    EXPECT_EQ(all[i].index, order[i]);
    EXPECT_EQ(all[i].label, testing::colour_names()[static_cast<std::size_t>(order[i])]);
    sum += static_cast<double>(all[i].probability);
  }
  EXPECT_NEAR(sum, 1.0, 1e-6);
  EXPECT_NEAR(all[0].probability / all[2].probability, std::exp(1.0), 1e-5);
  EXPECT_EQ(model.predictions(logits, 2).size(), 2u);
  EXPECT_NE(error_of([&] { model.predictions(logits, 0); }).find("at least 1"), std::string::npos);
  EXPECT_NE(error_of([&] { model.predictions(std::span(logits).first(6)); }).find("expected 7"), std::string::npos);
  std::vector<float> probabilities(7);
  model.probabilities(logits, probabilities);
  EXPECT_EQ(probabilities[1], all[0].probability);
}

TEST_F(ModelTest, WhatGradientsNeedIsPackedFromWhatIsThere) {
  const weights::LoadedModel loaded = weights::load_model(file);
  const Model model = Model::open(file, {.threads = 2});
  const auto input_gradient = [&](native::NativeBackend& backend, const model::GCViT& forward) {
    native::NativeBackend::Training training;
    training.trainable.assign(forward.parameters().size(), false);
    backend.start_training(1, training);
    const ops::Value image = backend.input({64, 64, 3}, tensor());
    backend.retain_grad(image);
    const ops::Value logits = forward.forward(backend, image);
    const auto none = backend.make_vector(forward.parameters());
    backend.backward(logits, std::vector<float>{1, 0, 0, -1, 0, 0, 0.5f}, *none);
    const std::span<const float> gradient = backend.gradient_of(image);
    return std::vector<float>(gradient.begin(), gradient.end());
  };
  native::NativeBackend own(*model.state().pool);
  const std::vector<float> expected = input_gradient(own, *loaded.model);
  const std::int64_t before = model.state().packed->bytes();
  native::NativeBackend shared(*model.state().pool, model.state().packed);
  EXPECT_EQ(input_gradient(shared, *model.state().model), expected);
  const std::int64_t after = model.state().packed->bytes();
  EXPECT_GT(after, before);
  native::NativeBackend another(*model.state().pool, model.state().packed);
  EXPECT_EQ(input_gradient(another, *model.state().model), expected);
  EXPECT_EQ(model.state().packed->bytes(), after);
}

}  // namespace
}  // namespace gcvit
