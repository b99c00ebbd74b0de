// SPDX-License-Identifier: Apache-2.0
#include "formats/hdf5_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/random.h"
#include "tests/formats/test_files.h"

namespace gcvit::formats {
namespace {

std::string hdf5_text(const std::string& name) { return read_text(reference("hdf5/" + name + ".h5")); }

RawFile parse(const std::string& text) {
  const Bytes bytes(text);
  return parse_hdf5(bytes.span, bytes.owner, "x.h5");
}

std::string refusal(const std::string& text) {
  return error_of([&] { (void)parse(text); });
}

template <typename Number>
std::string with(std::string text, std::size_t place, Number value) {
  std::memcpy(text.data() + place, &value, sizeof(value));
  return text;
}

// Both ways in which HDF5 keeps groups and object headers.
class Hdf5Types : public ::testing::TestWithParam<const char*> {};

TEST_P(Hdf5Types, AreRead) {
  const RawFile raw = parse(hdf5_text(GetParam()));
  EXPECT_EQ(raw.format, "hdf5");
  std::map<std::string, Tensor> tensors;
  for (const NamedTensor& entry : raw.tensors) tensors.emplace(entry.name, entry.tensor);
  const std::map<std::string, DType> expected = {
      {"layers/floats/f32", DType::kF32},     {"layers/floats/f16", DType::kF16},
      {"layers/floats/f64", DType::kF64},     {"layers/floats/bf16", DType::kBF16},
      {"layers/floats/scalar", DType::kF32},  {"layers/floats/nothing", DType::kF32},
      {"layers/floats/compact", DType::kF32}, {"layers/integers/i64", DType::kI64},
      {"layers/integers/i32", DType::kI32},   {"layers/integers/u8", DType::kU8}};
  ASSERT_EQ(tensors.size(), expected.size());
  for (const auto& [name, dtype] : expected) {
    ASSERT_TRUE(tensors.contains(name)) << name;
    EXPECT_EQ(tensors.at(name).dtype(), dtype) << name;
  }
  const std::vector<float> values = {0.0f, -0.0f, 1.0f, -2.5f, 65504.0f, 0x1p-24f};
  for (const char* type : {"f32", "f16", "f64"}) {
    const Tensor tensor = tensors.at(std::string("layers/floats/") + type).to_f32();
    EXPECT_EQ(tensor.dims(), (Dims{2, 3}));
    for (std::size_t i = 0; i < values.size(); ++i) {
      EXPECT_EQ(tensor.values()[i], values[i]) << type;
      EXPECT_EQ(std::signbit(tensor.values()[i]), std::signbit(values[i])) << type;
    }
  }
  const Tensor bf16 = tensors.at("layers/floats/bf16").to_f32();
  EXPECT_EQ(bf16.dims(), (Dims{2, 3}));
  EXPECT_EQ(bf16.values()[3], -2.5f);
  EXPECT_EQ(bf16.values()[4], 65536.0f);
  EXPECT_EQ(bf16.values()[5], 0x1p-24f);
  EXPECT_EQ(tensors.at("layers/floats/scalar").dims(), Dims{});
  EXPECT_EQ(tensors.at("layers/floats/scalar").to_f32().values()[0], 3.5f);
  EXPECT_EQ(tensors.at("layers/floats/nothing").dims(), (Dims{0, 4}));
  EXPECT_EQ(tensors.at("layers/floats/compact").to_f32().values()[2], 0.25f);
  EXPECT_EQ(tensors.at("layers/integers/i64").to_f32().values()[0], -0x1p40f);
  EXPECT_EQ(tensors.at("layers/integers/i32").to_f32().values()[0], -3.0f);
  EXPECT_EQ(tensors.at("layers/integers/u8").to_f32().values()[1], 255.0f);
}

INSTANTIATE_TEST_SUITE_P(Versions, Hdf5Types, ::testing::Values("earliest", "v110"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Hdf5File, RefusesByName) {
  const std::map<std::string, std::string> sentences = {
      {"chunked",
       "a: expected values in one piece, found chunks, as compression makes them: save again without chunks or "
       "compression (h5repack -l CONTI -f NONE)"},
      {"gzip",
       "a: expected values in one piece, found chunks, as compression makes them: save again without chunks or "
       "compression (h5repack -l CONTI -f NONE)"},
      {"soft_link", "/: \"b\" is a soft link: links are not followed"},
      {"external_link", "/: \"b\" is a soft or external link: links are not followed"},
      {"hard_link", "b: the same object as under another name"},
      {"cycle", "a/b: the same object as under another name"},
      {"external_storage", "a: values in another file (external storage) are not followed"},
      {"virtual", "a: values of other files (a virtual dataset) are not followed"},
      {"link_heap",
       "/: expected a symbol table or few links, found links in a heap, as files for HDF5 1.8 and later have them: "
       "save again with h5py's libver=\"earliest\", which Keras uses"},
      {"not_written", "a: no values have been written"}};
  for (const auto& [name, sentence] : sentences) {
    EXPECT_EQ(refusal(hdf5_text("refused_" + name)), "[hdf5] x.h5: " + sentence);
  }
}

TEST(Hdf5File, RefusesClaims) {
  const std::string text = hdf5_text("earliest");
  EXPECT_EQ(refusal(with(text, 8, std::uint8_t{4})), "[hdf5] x.h5: superblock: expected version 0 to 3, found 4");
  EXPECT_EQ(refusal(with(text, 13, std::uint8_t{4})),
            "[hdf5] x.h5: superblock: expected offsets and lengths of 8 bytes, found 4 and 8");
  EXPECT_EQ(refusal(with(text, 24, std::uint64_t{8})),
            "[hdf5] x.h5: superblock: expected the file to begin at byte 0, found 8");
  EXPECT_EQ(refusal(with(text, 40, std::uint64_t{1} << 40)),
            fmt::format("[hdf5] x.h5: superblock: cut short: ends at byte 1099511627776, file has {}", text.size()));
  constexpr std::size_t kRoot = 64;
  EXPECT_EQ(
      refusal(with(text, kRoot, ~std::uint64_t{0})),
      fmt::format("[hdf5] x.h5: /: object header at byte 18446744073709551615: expected 16 bytes, the file has {}",
                  text.size()));
  EXPECT_EQ(refusal(with(text, kRoot, std::uint64_t{0})),
            "[hdf5] x.h5: /: object header: expected version 1 or 2, found 137");
  // Axes that claim more than the file has, and more than can be counted.
  const std::string dataset("\x01\x02\x01\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0", 24);
  const std::size_t axes = text.find(dataset) + 8;
  ASSERT_LT(axes, text.size());
  EXPECT_NE(refusal(with(text, axes, std::uint64_t{1} << 40)).find("[1099511627776, 3] "), std::string::npos);
  EXPECT_NE(refusal(with(text, axes, std::uint64_t{1} << 62)).find("more elements than can be counted"),
            std::string::npos);
  EXPECT_NE(refusal(with(text, axes, ~std::uint64_t{0})).find("are too many"), std::string::npos);
}

TEST(Hdf5File, EveryTruncationIsRefused) {
  for (const char* name : {"earliest", "v110"}) {
    const std::string text = hdf5_text(name);
    for (std::size_t size = 0; size < text.size(); ++size) {
      EXPECT_TRUE(refusal(text.substr(0, size)).starts_with("[hdf5] x.h5: superblock: ")) << size;
    }
  }
}

/// The same with a superblock that claims no more than there is: what is behind it must notice.
TEST(Hdf5File, EveryTruncationIsAnswered) {
  const std::string text = hdf5_text("earliest");
  int refused = 0;
  for (std::size_t size = 96; size < text.size(); ++size) {
    try {
      (void)parse(with(text.substr(0, size), 40, std::uint64_t{size}));
    } catch (const Error& error) {
      EXPECT_TRUE(std::string_view(error.what()).starts_with("[hdf5] x.h5: ")) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, 10000);
}

TEST(Hdf5File, DamageIsAnsweredBySentences) {
  int refused = 0;
  for (const char* name : {"earliest", "v110"}) {
    const std::string valid = hdf5_text(name);
    for (std::uint64_t seed = 0; seed < 3000; ++seed) {
      Random random(seed);
      std::string text = valid;
      for (std::uint32_t changes = 1 + random.below(8); changes > 0; --changes) {
        const std::uint32_t place = random.below(static_cast<std::uint32_t>(text.size()));
        switch (random.below(4)) {
          case 0: text[place] = static_cast<char>(random.below(256)); break;
          case 1: text[place] = '\xff'; break;
          case 2: text[place] = static_cast<char>(text[place] ^ (1 << random.below(8))); break;
          default: text.replace(place, 8, text.substr(random.below(static_cast<std::uint32_t>(text.size())), 8)); break;
        }
      }
      try {
        (void)parse(text);
      } catch (const Error& error) {
        EXPECT_TRUE(std::string_view(error.what()).starts_with("[hdf5] x.h5: ")) << error.what();
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 500);
}

}  // namespace
}  // namespace gcvit::formats
