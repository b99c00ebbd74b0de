// SPDX-License-Identifier: Apache-2.0
#include "image/image_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <thread>

#include "base/error.h"
#include "base/resource_error.h"
#include "tests/testing/error_of.h"
#include "tests/testing/limit_threads.h"

namespace gcvit::image {
namespace {

/// Every fifth photo is broken; the others' tensors are full of their index.
void prepare(std::size_t index, std::span<float> tensor, int) {
  if (index % 5 == 3) fail("[test] photo {}", index);
  std::fill(tensor.begin(), tensor.end(), static_cast<float>(index));
}

TEST(ImageQueue, HandsOutInOrderWhateverItsSizes) {
  for (std::size_t round = 0; round < 60; ++round) {
    const std::size_t count = 3 * round;
    ImageQueue queue(count, 16, 1 + round % 7, 1 + static_cast<int>(round % 5), prepare);
    std::size_t seen = 0;
    while (const ImageQueue::Image* image = queue.next()) {
      ASSERT_EQ(image->index, seen);
      if (seen % 5 == 3) {
        EXPECT_EQ(image->error, "[test] photo " + std::to_string(seen));
      } else {
        EXPECT_EQ(image->error, "");
        EXPECT_EQ(image->tensor, std::vector<float>(16, static_cast<float>(seen)));
      }
      ++seen;
    }
    EXPECT_EQ(seen, count);
    EXPECT_EQ(queue.next(), nullptr);
  }
}

TEST(ImageQueue, MayBeLeftBeforeItsEnd) {
  for (std::size_t round = 0; round < 30; ++round) {
    ImageQueue queue(100, 16, 4, 3, prepare);
    for (std::size_t i = 0; i < round; ++i) ASSERT_NE(queue.next(), nullptr);
  }
}

TEST(ImageQueue, RunsNoFurtherAheadThanItsCapacity) {
  std::atomic<std::size_t> begun = 0;
  ImageQueue queue(1000, 1, 6, 3, [&](std::size_t, std::span<float>, int) { ++begun; });
  for (std::size_t taken = 1; taken <= 200; ++taken) {
    ASSERT_NE(queue.next(), nullptr);
    EXPECT_LE(begun.load(), taken - 1 + 6);
  }
}

TEST(ImageQueue, AImageTooLargeForMemorySpoilsItselfAlone) {
  ImageQueue queue(2, 1, 2, 1, [](std::size_t index, std::span<float>, int) {
    if (index == 0) throw std::bad_alloc();
  });
  EXPECT_NE(queue.next()->error.find("not enough memory"), std::string::npos);
  EXPECT_EQ(queue.next()->error, "");
}

TEST(ImageQueue, WhatIsNoImagesErrorComesOutInItsTurn) {
  ImageQueue queue(3, 1, 3, 2, [](std::size_t index, std::span<float>, int) {
    if (index == 1) throw ResourceError("[test] no more descriptors");
    if (index == 2) throw 7;
  });
  EXPECT_EQ(queue.next()->error, "");
  EXPECT_EQ(testing::error_of([&] { queue.next(); }), "[test] no more descriptors");
  EXPECT_THROW(queue.next(), int);
  EXPECT_EQ(queue.next(), nullptr);
}

TEST(ImageQueue, ThreadsThatCantBeStartedAreAnErrorThatLeavesNone) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto start_too_many = [] {
    gcvit::testing::limit_threads();
    const std::ptrdiff_t before = gcvit::testing::thread_count();
    // So slow that the threads that could be started are all still there when the next one can't be.
    const auto slowly = [](std::size_t, std::span<float>, int) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    };
    const std::string error = gcvit::testing::error_of([&] { ImageQueue queue(1000, 1, 1000, 1000, slowly); });
    std::fputs(error.c_str(), stderr);
    std::_Exit(gcvit::testing::thread_count_falls_to(before) ? 0 : 1);
  };
  EXPECT_EXIT(start_too_many(), ::testing::ExitedWithCode(0),
              "\\[image\\] can't start 1000 threads that decode: .*unavailable");
}

}  // namespace
}  // namespace gcvit::image
