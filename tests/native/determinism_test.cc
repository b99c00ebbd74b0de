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

constexpr Shape kImage{64, 64, 3};

/// Logits and every tap of a run, image by image.
std::map<std::string, std::vector<float>> run(const model::GCViT& model, NativeBackend& backend, int batch,
                                              std::span<const float> images) {
  std::map<std::string, std::vector<float>> results;
  backend.set_tap_listener([&](std::string_view name, const Value& value) {
    const auto values = backend.read(value);
    results[std::string(name)].assign(values.begin(), values.end());
  });
  backend.start(batch);
  const Value logits = model.forward(backend, backend.input(kImage, images));
  backend.set_tap_listener({});
  return results;
}

class Determinism : public ::testing::Test {
 protected:
  Determinism() : model_(testing::tiny_config()) { testing::fill_alive(model_, 41); }
  model::GCViT model_;
  std::vector<float> images_ = testing::random_values(64 * kImage.size(), 42);
};

TEST_F(Determinism, SameBitsInAnyBatchAndOnAnyThreadCount) {
  ThreadPool one(1);
  NativeBackend alone(one);
  std::map<std::string, std::vector<float>> expected;
  for (int n = 0; n < 64; ++n) {
    const auto image = std::span(images_).subspan(static_cast<std::size_t>(n * kImage.size()),
                                                  static_cast<std::size_t>(kImage.size()));
    for (const auto& [name, values] : run(model_, alone, 1, image)) {
      expected[name].insert(expected[name].end(), values.begin(), values.end());
    }
  }
  ASSERT_EQ(expected.size(), 7u);  // level1..level4, features, pooled, logits
  for (const int threads : {1, 2, 7}) {
    ThreadPool pool(threads);
    NativeBackend backend(pool);
    for (const int batch : {64, 5, 1}) {
      const auto count = static_cast<std::size_t>(batch * kImage.size());
      for (const auto& [name, values] : run(model_, backend, batch, std::span(images_).first(count))) {
        EXPECT_EQ(std::memcmp(values.data(), expected[name].data(), values.size() * sizeof(float)), 0)
            << name << " with " << threads << " threads in a batch of " << batch;
      }
    }
  }
}

}  // namespace
}  // namespace gcvit::native
