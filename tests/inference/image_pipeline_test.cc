// SPDX-License-Identifier: Apache-2.0
#include "inference/image_pipeline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <latch>

#include "tests/inference/test_images.h"
#include "tests/weights/test_files.h"

namespace gcvit::inference {
namespace {

TEST(ImagePipeline, TakesTensorsAndWaitsForAFullBatch) {
  const weights::TemporaryFolder folder;
  testing::write_tiny_model(folder / "m.safetensors");
  Session session(Model::open(folder / "m.safetensors", {.threads = 1}));
  std::vector<std::vector<float>> tensors;
  std::vector<std::vector<float>> expected;
  for (unsigned i = 0; i < 6; ++i) {
    const std::string png = testing::blob_png(i);
    tensors.push_back(session.preprocess(Image::encoded(std::as_bytes(std::span(png)))));
    expected.push_back(session.logits(tensors.back()));
  }
  std::vector<std::size_t> batches;
  std::vector<std::vector<float>> found(6);
  std::latch done(6);
  ImagePipeline pipeline(session.state(), {.batch = 3,
                                           .decode_threads = 1,
                                           .capacity = 6,
                                           .max_delay = std::chrono::hours(1),
                                           .on_batch = [&](std::size_t images) { batches.push_back(images); }});
  for (std::size_t i = 0; i < 6; ++i) {
    pipeline.submit({.decode = {},
                     .prepare = [&, i](std::span<float> tensor,
                                       image::PreprocessScratch&) { std::ranges::copy(tensors[i], tensor.begin()); },
                     .name = "tensor",
                     .done =
                         [&, i](ImageLogits result, const std::exception_ptr&) {
                           found[i] = std::move(result.logits);
                           done.count_down();
                         }},
                    true);
  }
  done.wait();
  EXPECT_EQ(found, expected);
  EXPECT_EQ(batches, (std::vector<std::size_t>{3, 3}));
  pipeline.finish();
}

}  // namespace
}  // namespace gcvit::inference
