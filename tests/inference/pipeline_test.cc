// SPDX-License-Identifier: Apache-2.0
#include "gcvit/pipeline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <mutex>
#include <thread>

#include "tests/inference/test_images.h"
#include "tests/weights/test_files.h"

namespace gcvit {
namespace {

using weights::error_of;
using weights::TemporaryFolder;

struct PipelineTest : ::testing::Test {
  TemporaryFolder folder;
  Model model;
  std::vector<std::string> pngs;
  std::vector<std::vector<float>> expected;

  PipelineTest() : model(open(folder)) {
    Session session(model);
    for (unsigned i = 0; i < 12; ++i) {
      pngs.push_back(testing::blob_png(i));
      expected.push_back(session.logits(session.preprocess(image(i))));
    }
  }
  static Model open(const TemporaryFolder& folder) {
    testing::write_tiny_model(folder / "m.safetensors", testing::colour_names());
    return Model::open(folder / "m.safetensors", {.threads = 2});
  }
  Image image(std::size_t i) const { return Image::encoded(std::as_bytes(std::span(pngs[i])), std::to_string(i)); }
};

TEST_F(PipelineTest, FuturesHaveEachImagesOwnLogits) {
  Pipeline pipeline(model, {.batch = 3});
  std::vector<std::future<ImageLogits>> futures;
  for (std::size_t i = 0; i < pngs.size(); ++i) futures.push_back(pipeline.submit(image(i)));
  for (std::size_t i = 0; i < pngs.size(); ++i) {
    const ImageLogits result = futures[i].get();
    EXPECT_EQ(result.image, i);
    EXPECT_EQ(result.name, std::to_string(i));
    EXPECT_EQ(result.error, "");
    EXPECT_EQ(result.logits, expected[i]);
  }
}

TEST_F(PipelineTest, CallbacksComeInOrderUnlessAskedOtherwise) {
  for (const bool in_order : {true, false}) {
    std::vector<std::size_t> order;
    Pipeline pipeline(model, {.batch = 2, .decode_threads = 3, .in_order = in_order});
    for (std::size_t i = 0; i < pngs.size(); ++i) {
      pipeline.submit(image(i), [&](const ImageLogits& result) {
        order.push_back(result.image);
        EXPECT_EQ(result.logits, expected[result.image]);
      });
    }
    pipeline.finish();
    ASSERT_EQ(order.size(), pngs.size());
    if (in_order) {
      EXPECT_TRUE(std::ranges::is_sorted(order));
    }
    std::ranges::sort(order);
    for (std::size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i], i);
    EXPECT_EQ(error_of([&] { pipeline.submit(image(0)); }),
              "[pipeline] it was finished: no image can be submitted any more");
  }
}

TEST_F(PipelineTest, ABrokenImageIsItsOwnError) {
  Pipeline pipeline(model);
  auto missing = pipeline.submit(Image::file(folder / "missing.jpg"));
  auto whole = pipeline.submit(image(1));
  auto broken = pipeline.submit(Image::encoded(std::as_bytes(std::span("no picture")), "text"));
  EXPECT_EQ(missing.get().code, ErrorCode::kNotFound);
  EXPECT_EQ(whole.get().logits, expected[1]);
  const ImageLogits result = broken.get();
  EXPECT_EQ(result.code, ErrorCode::kInvalidFile);
  EXPECT_NE(result.error.find("text"), std::string::npos);
  EXPECT_TRUE(result.logits.empty());
}

TEST_F(PipelineTest, IsBounded) {
  Pipeline pipeline(model, {.batch = 1, .capacity = 2});
  std::latch release(1);
  std::atomic<int> done = 0;
  const auto take = [&](const ImageLogits&) {
    release.wait();
    ++done;
  };
  pipeline.submit(image(0), take);
  pipeline.submit(image(1), take);
  // Both are inside until the first callback returns.
  EXPECT_FALSE(pipeline.try_submit(image(2), take));
  release.count_down();
  pipeline.submit(image(2), take);
  pipeline.finish();
  EXPECT_EQ(done, 3);
}

TEST_F(PipelineTest, CancellingGivesWhatWaitsAnError) {
  std::latch computing(1);
  std::latch release(1);
  Pipeline pipeline(model, {.batch = 1, .capacity = 8});
  pipeline.submit(image(0), [&](const ImageLogits&) {
    computing.count_down();
    release.wait();
  });
  computing.wait();
  std::vector<std::future<ImageLogits>> futures;
  for (std::size_t i = 1; i < 6; ++i) futures.push_back(pipeline.submit(image(i)));
  pipeline.cancel();
  release.count_down();
  for (std::future<ImageLogits>& future : futures) {
    const ImageLogits result = future.get();
    EXPECT_EQ(result.code, ErrorCode::kCancelled) << result.error;
    EXPECT_TRUE(result.logits.empty());
  }
  try {
    pipeline.submit(image(0));
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCancelled);
  }
}

TEST_F(PipelineTest, ManyThreadsSubmitAtOnce) {
  Pipeline pipeline(model, {.batch = 4, .capacity = 5});
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < 6; ++i) {
        const std::size_t which = (5 * t + i) % pngs.size();
        EXPECT_EQ(pipeline.submit(image(which)).get().logits, expected[which]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(PipelineTest, RefusesOptionsOutOfRange) {
  EXPECT_NE(error_of([&] { Pipeline(model, {.batch = 0}); }).find("expected 1 to 1024"), std::string::npos);
  EXPECT_NE(error_of([&] { Pipeline(model, {.decode_threads = -1}); }).find("found -1"), std::string::npos);
}

}  // namespace
}  // namespace gcvit
