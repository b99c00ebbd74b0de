// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "gcvit/error.h"
#include "image/decode.h"

namespace gcvit::image {

inline std::filesystem::path data_folder() { return std::filesystem::path(GCVIT_TEST_DATA) / "image"; }

inline std::vector<std::byte> read_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

/// A reference as tools/make_image_references.py writes them: "P6 WIDTH HEIGHT 255\n" and the pixels.
inline Image read_ppm(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_bytes(path);
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::size_t head = text.find('\n') + 1;
  std::istringstream words(text.substr(0, head));
  std::string magic;
  Image image;
  words >> magic >> image.width >> image.height;
  EXPECT_EQ(magic, "P6") << path;
  image.pixels.assign(text.begin() + static_cast<std::ptrdiff_t>(head), text.end());
  EXPECT_EQ(image.pixels.size(), static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height) * 3);
  return image;
}

inline std::vector<float> read_floats(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_bytes(path);
  std::vector<float> floats(bytes.size() / sizeof(float));
  std::memcpy(floats.data(), bytes.data(), floats.size() * sizeof(float));
  return floats;
}

inline Image random_image(std::int32_t height, std::int32_t width, unsigned seed) {
  std::mt19937 random(seed);
  Image image{width, height, std::vector<std::uint8_t>(static_cast<std::size_t>(height * width) * 3)};
  for (std::uint8_t& value : image.pixels) value = static_cast<std::uint8_t>(random() >> 24);
  return image;
}

inline void expect_equal(const Image& found, const Image& expected, const std::string& what) {
  ASSERT_EQ(found.width, expected.width) << what;
  ASSERT_EQ(found.height, expected.height) << what;
  ASSERT_EQ(found.pixels.size(), expected.pixels.size()) << what;
  for (std::size_t i = 0; i < found.pixels.size(); ++i) {
    ASSERT_EQ(int{found.pixels[i]}, int{expected.pixels[i]}) << what << ": byte " << i;
  }
}

/// The sentence of the `Error` that `call` throws; fails the test if it throws none.
template <typename Call>
std::string sentence_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "expected an Error";
  return "";
}

}  // namespace gcvit::image
