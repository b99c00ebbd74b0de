// SPDX-License-Identifier: Apache-2.0
// An image's numbers are its own: the same bits alone and in any batch, on any number of threads.
#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "native/native_backend.h"
#include "tests/native/test_model.h"

namespace gcvit::native {
namespace {

using ops::Shape;
using ops::Value;

/// Logits and every tap of a run, image by image.
std::map<std::string, std::vector<float>> run(const model::GCViT& model, NativeBackend& backend, int batch,
                                              std::span<const float> images) {
  const Shape shape{model.config().image_height, model.config().image_width, 3};
  std::map<std::string, std::vector<float>> results;
  backend.set_tap_hook([&](std::string_view name, const Value& value) {
    const auto values = backend.read(value);
    results[std::string(name)].assign(values.begin(), values.end());
  });
  backend.start(batch);
  const Value logits = model.forward(backend, backend.input(shape, images));
  backend.set_tap_hook({});
  return results;
}

void expect_same_bits(const model::GCViTConfig& config, const std::vector<int>& batches) {
  model::GCViT model(config);
  testing::fill_alive(model, 41);
  const std::int64_t image_size = Shape{config.image_height, config.image_width, 3}.size();
  const int most = batches.front();
  const std::vector<float> images = testing::random_values(most * image_size, 42);
  ThreadPool one(1);
  NativeBackend alone(one);
  std::map<std::string, std::vector<float>> expected;
  for (int n = 0; n < most; ++n) {
    const auto image =
        std::span(images).subspan(static_cast<std::size_t>(n * image_size), static_cast<std::size_t>(image_size));
    for (const auto& [name, values] : run(model, alone, 1, image)) {
      expected[name].insert(expected[name].end(), values.begin(), values.end());
    }
  }
  ASSERT_EQ(expected.size(), 7u);  // level1..level4, features, pooled, logits
  for (const int threads : {1, 2, 7}) {
    ThreadPool pool(threads);
    NativeBackend backend(pool);
    for (const int batch : batches) {
      const auto count = static_cast<std::size_t>(batch * image_size);
      for (const auto& [name, values] : run(model, backend, batch, std::span(images).first(count))) {
        EXPECT_EQ(std::memcmp(values.data(), expected[name].data(), values.size() * sizeof(float)), 0)
            << name << " with " << threads << " threads in a batch of " << batch;
      }
    }
  }
}

TEST(Determinism, SameBitsInAnyBatchAndOnAnyThreadCount) { expect_same_bits(testing::tiny_config(), {64, 5, 1}); }

TEST(Determinism, SameBitsWhereMapsArePaddedToWindows) { expect_same_bits(testing::fixed_window_config(), {8, 3, 1}); }

}  // namespace
}  // namespace gcvit::native
