// SPDX-License-Identifier: Apache-2.0
#include "evaluate/evaluate.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "gcvit/classifier.h"
#include "tests/inference/test_images.h"
#include "tests/weights/test_files.h"

namespace gcvit::evaluate {
namespace {

using weights::TemporaryFolder;
using weights::write_text;

TEST(Evaluate, CountsWhatTheModelSaysForAnyThreadsAndBatch) {
  const TemporaryFolder folder;
  const std::string file = folder / "m.safetensors";
  testing::write_tiny_model(file, testing::colour_names());
  const std::string root = folder / "data";
  for (const std::string& name : testing::colour_names()) std::filesystem::create_directories(root + "/" + name);

  // Photos go where the model says, but for every fourth, which goes one class further.
  Classifier classifier(file);
  std::int64_t right = 0;
  std::vector<std::int64_t> of_class(7);
  for (unsigned i = 0; i < 30; ++i) {
    const std::string png = testing::blob_png(i);
    const std::int32_t said = classifier.classify(Image::encoded(std::as_bytes(std::span(png))), 1)[0].index;
    const std::int32_t put = i % 4 == 3 ? (said + 1) % 7 : said;
    right += put == said;
    ++of_class[static_cast<std::size_t>(put)];
    write_text(root + "/" + classifier.label(put) + "/" + std::to_string(i) + ".png", png);
  }
  write_text(root + "/red/broken.jpg", "no");
  write_text(root + "/blue/empty.webp", "");

  std::vector<double> losses;
  for (const auto& [threads, batch] : {std::pair{1, 1}, {2, 8}, {3, 64}}) {
    Session session(Model::open(file, {.threads = threads}));
    const data::ImageSet images = read_labelled_images(session.model(), {.path = root});
    ASSERT_EQ(images.samples.size(), 32u);
    std::size_t steps = 0;
    std::size_t complaints = 0;
    const Evaluation evaluation = evaluate(session, batch, images, [&](const ImageLogits& image) {
      EXPECT_EQ(image.image, steps);
      EXPECT_EQ(image.logits.size(), image.error.empty() ? 7u : 0u);
      ++steps;
      complaints += !image.error.empty();
    });
    EXPECT_EQ(steps, 32u);
    EXPECT_EQ(complaints, 2u);
    EXPECT_EQ(evaluation.skipped, 2);
    EXPECT_EQ(evaluation.metrics.count(), 30);
    EXPECT_EQ(evaluation.metrics.top1_correct(), right);
    for (std::size_t i = 0; i < 7; ++i) EXPECT_EQ(evaluation.metrics.per_class()[i].count, of_class[i]);
    losses.push_back(evaluation.metrics.loss());
  }
  EXPECT_EQ(losses[1], losses[0]);
  EXPECT_EQ(losses[2], losses[0]);
}

TEST(Evaluate, TakesListsAndWhatTheySayValidates) {
  const TemporaryFolder folder;
  const std::string file = folder / "m.safetensors";
  testing::write_tiny_model(file, testing::colour_names());
  std::filesystem::create_directories(folder / "photos");
  std::string list;
  for (unsigned i = 0; i < 6; ++i) {
    const std::string path = "photos/" + std::to_string(i) + ".png";
    write_text(folder / path, testing::blob_png(i));
    list += path + (i % 2 == 0 ? ",red" : ",blue") + (i < 4 ? ",train\n" : ",val\n");
  }
  write_text(folder / "list.csv", list);
  Session session(Model::open(file));
  const data::ImageSet images = read_labelled_images(session.model(), {.path = folder / "list.csv"});
  ASSERT_EQ(images.samples.size(), 2u);
  EXPECT_EQ(images.samples[0].label, 0);
  EXPECT_EQ(images.samples[1].label, 4);
  ASSERT_EQ(images.left_out.size(), 1u);
  EXPECT_EQ(data::describe(images.left_out[0]), "4 photos of the train split, such as photos/0.png");
  const Evaluation found = evaluate(session, 8, images, [](const ImageLogits& image) { EXPECT_EQ(image.error, ""); });
  EXPECT_EQ(found.metrics.count(), 2);
}

}  // namespace
}  // namespace gcvit::evaluate
