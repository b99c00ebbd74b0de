// SPDX-License-Identifier: Apache-2.0
#include "image/decode_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "image/decode.h"
#include "image/image_queue.h"
#include "tests/image/large_pictures.h"
#include "tests/image/test_pictures.h"

namespace gcvit::image {
namespace {

TEST(DecodeMemory, IsNeverOverItsLimitAndServesAll) {
  DecodeMemory memory;
  constexpr std::uint64_t kLimit = 100;
  std::atomic<int> served = 0;
  std::vector<std::thread> threads;
  for (unsigned seed = 0; seed < 8; ++seed) {
    threads.emplace_back([&, seed] {
      std::mt19937 random(seed);
      for (int round = 0; round < 200; ++round) {
        const auto share = memory.take(1 + random() % kLimit, kLimit);
        share->shrink(random() % kLimit);
        ++served;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(served, 8 * 200);
  EXPECT_LE(memory.peak(), kLimit);
  EXPECT_GT(memory.peak(), kLimit / 2);
}

TEST(DecodeMemory, ServesInOrder) {
  // A small wish doesn't pass a large one that came before it, or the large one might wait for ever.
  DecodeMemory memory;
  auto first = memory.take(60, 100);
  std::atomic<int> turn = 0;
  std::thread large([&] {
    const auto share = memory.take(90, 100);
    EXPECT_EQ(turn.exchange(1), 0);
  });
  while (memory.waiting() < 1) std::this_thread::yield();
  std::thread small([&] {
    const auto share = memory.take(15, 100);  // not beside the large one: that would make their ends a race
    EXPECT_EQ(turn.exchange(2), 1);
  });
  while (memory.waiting() < 2) std::this_thread::yield();
  EXPECT_EQ(turn, 0);
  first.reset();
  large.join();
  small.join();
  EXPECT_EQ(turn, 2);
}

/// The number that the sentence about too much memory says a picture needs.
std::uint64_t needed_by(std::span<const std::byte> bytes, const DecodeOptions& options = {}) {
  DecodeOptions tight = options;
  tight.max_memory = 3;
  const std::string sentence = sentence_of([&] { decode(bytes, "x", tight); });
  const std::size_t at = sentence.rfind(' ');
  return std::stoull(sentence.substr(at + 1));
}

TEST(DecodeMemory, APictureThatNeedsMoreThanAllOfItIsAnError) {
  const auto bytes = testing::flat_jpeg(480, 640, {.progressive = true, .chroma_as_large = true});
  const std::uint64_t needed = needed_by(bytes);
  EXPECT_EQ(needed, bytes.size() + 640 * 480 * 3 + 640 * 480 * 3 * 2);
  EXPECT_EQ(decode(bytes, "x", {.max_memory = 3 * needed}).width, 640);
  EXPECT_EQ(sentence_of([&] { decode(bytes, "x.jpg", {.max_memory = 3 * needed - 1}); }),
            "[jpeg] x.jpg: memory: expected a picture that needs at most " + std::to_string(needed - 1) +
                " bytes (a third of --max-memory), found 640 x 480 pixels that need " + std::to_string(needed));
}

TEST(DecodeMemory, FollowsWhatAPictureIs) {
  using testing::flat_jpeg;
  const std::uint64_t pixels = 640 * 480;
  const auto beside_file = [](const testing::Bytes& bytes, const DecodeOptions& options = {}) {
    return needed_by(bytes, options) - bytes.size();
  };
  EXPECT_EQ(beside_file(flat_jpeg(480, 640, {})), 3 * pixels);
  EXPECT_EQ(beside_file(flat_jpeg(480, 640, {.progressive = true})), 3 * pixels + 3 * pixels);
  EXPECT_EQ(beside_file(flat_jpeg(480, 640, {.channels = 4, .progressive = true})), 3 * pixels + 8 * pixels);
  EXPECT_EQ(beside_file(flat_jpeg(480, 640, {.channels = 1, .progressive = true})), 3 * pixels + 2 * pixels);
  const auto wide = testing::flat_png(480, 640, SPNG_COLOR_TYPE_TRUECOLOR_ALPHA, 16, true);
  EXPECT_EQ(beside_file(wide), 6 * pixels);
  EXPECT_EQ(beside_file(wide, {.apply_exif = false}), 3 * pixels);
  EXPECT_EQ(beside_file(testing::plain_webp(480, 640, false, false)), 3 * pixels);
  EXPECT_GE(beside_file(testing::plain_webp(480, 640, true, false)), 7 * pixels);
  EXPECT_GE(beside_file(testing::plain_webp(480, 640, false, true)), 8 * pixels);
  // Turned, a picture is there twice for a while.
  const auto turned = read_bytes(data_folder() / "decode/exif_6.jpg");
  EXPECT_EQ(beside_file(turned) - beside_file(turned, {.apply_exif = false}), 23u * 17 * 3);
}

TEST(DecodeMemory, AHeldPictureKeepsItsPixelsShare) {
  const auto bytes = testing::flat_jpeg(480, 640, {.progressive = true});
  const std::uint64_t needed = needed_by(bytes);
  const std::uint64_t held = 640 * 480 * 3;
  const Image first = decode(bytes, "x", {.max_memory = 3 * needed});
  // Beside it there is room for another one, if there is room for both.
  EXPECT_EQ(decode(bytes, "x", {.max_memory = 3 * (held + needed)}).width, 640);
}

TEST(DecodeMemory, FilesWaitForEachOtherToo) {
  // A picture with 3 MB behind its end, and room for one such file at a time.
  auto bytes = testing::flat_jpeg(48, 64, {});
  bytes.resize(3'000'000);
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("gcvit_padded_" + std::to_string(getpid()) + ".jpg");
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  std::atomic<int> decoded = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      if (read_image(path, {.max_memory = 3 * 5'000'000}).width == 64) ++decoded;
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::filesystem::remove(path);
  EXPECT_EQ(decoded, 6);
  EXPECT_GE(DecodeMemory::of_files().peak(), bytes.size());
  EXPECT_LT(DecodeMemory::of_files().peak(), 2 * bytes.size());
}

TEST(DecodeMemory, ManyPicturesAndThreadsAndHardlyAnyMemory) {
  // Room for one and a half pictures; every seventh needs more than that and is an error, each time the same.
  const auto small = testing::flat_jpeg(120, 160, {.progressive = true});
  const auto large = testing::flat_png(240, 320, SPNG_COLOR_TYPE_TRUECOLOR, 16, true);
  const auto too_large = testing::flat_png(480, 640, SPNG_COLOR_TYPE_TRUECOLOR, 16, true);
  const DecodeOptions options{.max_memory = 3 * (needed_by(large) * 3 / 2)};
  constexpr std::size_t kImages = 140;
  ImageQueue queue(kImages, 1, 11, 8, [&](std::size_t index, std::span<float> tensor, int) {
    const Image image = decode(index % 7 == 3 ? too_large : index % 2 == 0 ? small : large, "x", options);
    tensor[0] = static_cast<float>(image.width);
  });
  for (std::size_t index = 0; index < kImages; ++index) {
    const ImageQueue::Image* image = queue.next();
    ASSERT_NE(image, nullptr);
    if (index % 7 == 3) {
      EXPECT_NE(image->error.find("memory: expected a picture that needs at most"), std::string::npos);
    } else {
      EXPECT_EQ(image->error, "");
      EXPECT_EQ(image->tensor[0], index % 2 == 0 ? 160.0f : 320.0f);
    }
  }
}

}  // namespace
}  // namespace gcvit::image
