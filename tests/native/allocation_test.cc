// SPDX-License-Identifier: Apache-2.0
// A run that repeats the last one allocates nothing. Sanitizers bring an operator new of their own, so their builds leave
// this file out.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
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

void expect_no_allocation(const model::GCViTConfig& config) {
  const ops::Shape image{config.image_height, config.image_width, 3};
  constexpr int kBatch = 3;
  model::GCViT model(config);
  testing::fill_alive(model, 41);
  const std::vector<float> images = testing::random_values(kBatch * image.size(), 42);
  for (const int threads : {1, 2}) {
    ThreadPool pool(threads);
    NativeBackend backend(pool);
    const auto infer = [&] {
      backend.start(kBatch);
      const ops::Value logits = model.forward(backend, backend.input(image, images));
      return backend.read(logits)[0];
    };
    infer();
    infer();
    const std::int64_t before = allocations;
    infer();
    EXPECT_EQ(allocations - before, 0) << threads << " threads";
  }
}

TEST(Allocation, SteadyStateMakesNone) {
  expect_no_allocation(testing::tiny_config());
  expect_no_allocation(testing::fixed_window_config());
}

}  // namespace
}  // namespace gcvit::native
