// SPDX-License-Identifier: Apache-2.0
// An image's numbers are its own: the same bits alone and in any batch, on any number of threads; and a run that
// repeats the last one allocates nothing.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>

#include "native/native_backend.h"
#include "tests/native/test_model.h"

namespace {
std::atomic<std::int64_t> allocations{0};
}  // namespace

// Counts every allocation of this program, so that a test can see a run make none.
void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  ++allocations;
  const auto boundary = static_cast<std::size_t>(alignment);
  if (void* memory = std::aligned_alloc(boundary, (size + boundary - 1) / boundary * boundary)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

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

TEST_F(Determinism, SteadyStateAllocatesNothing) {
  for (const int threads : {1, 2}) {
    ThreadPool pool(threads);
    NativeBackend backend(pool);
    const auto infer = [&] {
      backend.start(3);
      const Value logits = model_.forward(backend, backend.input(kImage, std::span(images_).first(3 * kImage.size())));
      return backend.read(logits)[0];
    };
    infer();
    infer();
    const std::int64_t before = allocations;
    infer();
    EXPECT_EQ(allocations - before, 0) << threads << " threads";
  }
}

}  // namespace
}  // namespace gcvit::native
