// SPDX-License-Identifier: Apache-2.0
// Against what the real libraries computed with the same weights and images (tests/data/parity, written by
// tools/parity/make_references.py, make_jax_references.py and make_keras_references.py): timm's, NVlabs' and flaim's
// names, rectangular windows, Keras' zero-padded pools, the files of all that writes Keras weights, and
// models at another image size than their files'.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <memory>
#include <ostream>
#include <string>

#include "native/native_backend.h"
#include "base/error.h"
#include "tests/native/test_model.h"
#include "tests/testing/scalar_executor.h"
#include "tests/testing/unzip.h"
#include "weights/load.h"

namespace gcvit::native {
namespace {

/// Three images' rounding errors of f32 sums, with some room. The scripts that made the references made sure that a
/// tensor read in the wrong order changes the logits by 1e-3 or more.
constexpr double kTolerance = 1e-5;

std::string file_of(const std::string& name) { return std::string(GCVIT_TEST_DATA) + "/parity/" + name; }

std::map<std::string, Tensor> read_reference(const std::string& name) {
  std::map<std::string, Tensor> tensors;
  for (const formats::NamedTensor& entry : formats::read_raw_file(file_of(name + ".reference.safetensors")).tensors) {
    tensors.emplace(entry.name, entry.tensor.to_f32());
  }
  return tensors;
}

struct Case {
  std::string name;
  std::string layout;
  ops::PoolPadding pool_padding;
  bool layer_scale;
  std::string archived = "";  ///< a member of keras_files.zip instead of NAME.safetensors
  bool keras_example_bias = false;
};

void PrintTo(const Case& value, std::ostream* stream) { *stream << value.name; }

/// The case's weight file, taken out of the archive if it lies there.
std::string weights_of(const Case& expected) {
  if (expected.archived.empty()) return file_of(expected.name + ".safetensors");
  const std::string bytes = testing::unzip(file_of("keras_files.zip")).at(expected.archived);
  const std::string path = ::testing::TempDir() + expected.name + "_" + expected.archived;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

class ParityTest : public ::testing::TestWithParam<Case> {};

/// Every output of `model` on the reference's images, computed by `executor`, against the reference's.
void expect_outputs(const model::GCViT& model, const std::map<std::string, Tensor>& reference,
                    ops::Executor& executor) {
  const Tensor& images = reference.at("images");
  const Dims& dims = images.dims();
  ASSERT_EQ(dims, (Dims{dims[0], model.config().image_height, model.config().image_width, 3}));
  std::map<std::string, double> errors;
  executor.set_tap_hook([&](std::string_view name, const ops::Value& value) {
    const auto entry = reference.find(std::string(name));
    if (entry == reference.end()) return;
    const std::span<const float> values = executor.read(value);
    ASSERT_EQ(std::ssize(values), entry->second.size()) << name;
    errors[entry->first] = testing::relative_error(values, entry->second.values());
  });
  executor.start(static_cast<std::int32_t>(dims[0]));
  const ops::Shape shape{static_cast<std::int32_t>(dims[1]), static_cast<std::int32_t>(dims[2]), 3};
  model.forward(executor, executor.input(shape, images.values()));

  ASSERT_TRUE(errors.contains("logits"));
  EXPECT_EQ(errors.size(), reference.size() - 1);  // all but the images
  for (const auto& [name, error] : errors) EXPECT_LT(error, kTolerance) << name;
}

void expect_outputs(const model::GCViT& model, const std::map<std::string, Tensor>& reference) {
  ThreadPool pool(2);
  NativeBackend native(pool);
  expect_outputs(model, reference, native);
  testing::ScalarExecutor scalar;
  expect_outputs(model, reference, scalar);
}

weights::LoadOptions load_options_of(const Case& expected) {
  weights::LoadOptions options;
  options.keras_example_bias = expected.keras_example_bias;
  return options;
}

TEST_P(ParityTest, EveryOutputIsTheLibrarys) {
  const Case& expected = GetParam();
  const weights::LoadedModel loaded = weights::load_model(weights_of(expected), load_options_of(expected));
  EXPECT_EQ(loaded.info.source.layout, expected.layout);
  EXPECT_EQ(loaded.info.config.pool_padding, expected.pool_padding);
  EXPECT_EQ(loaded.info.config.layer_scale, expected.layer_scale);
  EXPECT_TRUE(loaded.report.unexpected.empty());
  expect_outputs(*loaded.model, read_reference(expected.name));
}

constexpr auto kMinusInfinity = ops::PoolPadding::kNegativeInfinity;
INSTANTIATE_TEST_SUITE_P(Libraries, ParityTest,
                         ::testing::Values(Case{"timm", "timm", kMinusInfinity, false},
                                           Case{"nvlabs", "nvlabs", kMinusInfinity, true},
                                           Case{"rectangular", "canonical", kMinusInfinity, true},
                                           Case{"keras", "canonical", ops::PoolPadding::kZero, true},
                                           Case{"jax", "jax", kMinusInfinity, true}),
                         [](const auto& info) { return info.param.name; });

constexpr auto kZero = ops::PoolPadding::kZero;
INSTANTIATE_TEST_SUITE_P(KerasFiles, ParityTest,
                         ::testing::Values(Case{"keras_example", "keras", kZero, false, "keras_example.weights.h5"},
                                           Case{"keras_example", "keras", kZero, false, "keras_example.keras"},
                                           Case{"keras_flat", "keras", kZero, false, "keras_example.keras", true},
                                           Case{"keras_gcvit_tf", "keras", kZero, true, "keras_gcvit_tf.weights.h5"},
                                           Case{"keras_legacy", "keras", kZero, true, "keras_legacy.h5"},
                                           Case{"keras_slashes", "keras", kZero, true, "keras_slashes.h5"}),
                         [](const auto& info) {
                           std::string name = info.param.name + "_" + info.param.archived;
                           std::ranges::replace(name, '.', '_');
                           return name;
                         });

/// The weights of a file, made for 64x64 images, at the image size of a reference.
struct ResizedCase {
  std::string name;
  std::string weights;
  weights::ImageSize size;
  model::WindowMode mode;
};

void PrintTo(const ResizedCase& value, std::ostream* stream) { *stream << value.name; }

class ResizedParityTest : public ::testing::TestWithParam<ResizedCase> {};

TEST_P(ResizedParityTest, EveryOutputIsTheLibrarys) {
  const ResizedCase& expected = GetParam();
  const weights::LoadedModel loaded =
      weights::load_model(file_of(expected.weights + ".safetensors"),
                          {.image_size = expected.size, .window_mode = expected.mode, .classes = {}});
  expect_outputs(*loaded.model, read_reference(expected.name));
}

// timm chose its windows by the image size; NVlabs' detection backbone keeps them and pads.
INSTANTIATE_TEST_SUITE_P(Libraries, ResizedParityTest,
                         ::testing::Values(ResizedCase{"timm_exact", "timm", {32, 96}, model::WindowMode::kExact},
                                           ResizedCase{"timm_fixed", "timm", {96, 32}, model::WindowMode::kFixed},
                                           ResizedCase{"nvlabs_fixed", "nvlabs", {96, 32}, model::WindowMode::kFixed}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace gcvit::native
