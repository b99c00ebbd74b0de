// SPDX-License-Identifier: Apache-2.0
#include "base/tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "tests/testing/error_of.h"

namespace gcvit {
namespace {

using testing::error_of;

constexpr DType kAllTypes[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kF64,
                               DType::kI64, DType::kI32, DType::kU8,   DType::kI8};

/// A view of `values`, `shift` bytes behind a boundary of 16.
template <typename Element>
Tensor view_of(DType dtype, const std::vector<Element>& values, std::size_t shift = 0) {
  const std::size_t size = values.size() * sizeof(Element);
  auto owner = std::make_shared<std::vector<std::byte>>(size + 32);
  const auto address = reinterpret_cast<std::uintptr_t>(owner->data());
  std::byte* at = owner->data() + (16 - address % 16) % 16 + shift;
  std::memcpy(at, values.data(), size);
  return {dtype, {static_cast<std::int64_t>(values.size())}, owner, {at, size}};
}

std::vector<float> floats(const Tensor& tensor) {
  const std::span<const float> values = tensor.values();
  return {values.begin(), values.end()};
}

TEST(DType, SizesAndNames) {
  std::string names;
  std::size_t bytes = 0;
  for (const DType dtype : kAllTypes) {
    names += std::string(name_of(dtype)) + " ";
    bytes = bytes * 10 + size_of(dtype);
  }
  EXPECT_EQ(names, "f32 f16 bf16 f64 i64 i32 u8 i8 ");
  EXPECT_EQ(bytes, 42288411u);
}

TEST(Dims, CountAndText) {
  EXPECT_EQ(element_count(Dims{}), 1);
  EXPECT_EQ(element_count(Dims{2, 3, 4}), 24);
  EXPECT_EQ(element_count(Dims{5, 0, 7}), 0);
  EXPECT_EQ(to_string(Dims{64, 3, 3, 3}), "[64, 3, 3, 3]");
  EXPECT_EQ(to_string(Dims{}), "[]");
}

TEST(Dims, RefuseNegativeAndOverflowingAxes) {
  constexpr std::int64_t kBig = std::int64_t{1} << 32;
  EXPECT_EQ(error_of([] { element_count(Dims{3, -1}); }),
            "[tensor] axes [3, -1] are no array: expected non-negative lengths whose product fits 63 bits");
  EXPECT_EQ(
      error_of([] { element_count(Dims{kBig, kBig}); }),
      "[tensor] axes [4294967296, 4294967296] are no array: expected non-negative lengths whose product fits 63 bits");
  EXPECT_EQ(error_of([] { Tensor(DType::kF64, {kBig, kBig / 8}); }),
            "[tensor] axes [4294967296, 536870912] of f64 need more than 63 bits of bytes");
}

TEST(Tensor, IsEmptyWithoutStorage) {
  const Tensor none;
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(none.size(), 0);
  EXPECT_TRUE(none.values().empty());
  EXPECT_TRUE(none.bytes().empty());
  EXPECT_TRUE(none.to_f32().empty());
}

TEST(Tensor, OwnStorageIsZerosAndAligned) {
  for (const DType dtype : kAllTypes) {
    const Tensor tensor(dtype, {3, 5});
    EXPECT_FALSE(tensor.empty());
    EXPECT_EQ(tensor.dtype(), dtype);
    EXPECT_EQ(tensor.dims(), (Dims{3, 5}));
    ASSERT_EQ(tensor.bytes().size(), 15 * size_of(dtype));
    for (const std::byte byte : tensor.bytes()) ASSERT_EQ(byte, std::byte{0});
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.bytes().data()) % alignof(double), 0u);
  }
  const Tensor nothing(DType::kF32, {0, 4});
  EXPECT_FALSE(nothing.empty());
  EXPECT_EQ(nothing.size(), 0);
}

TEST(Tensor, CopiesShareStorage) {
  Tensor tensor = Tensor::from_values({2, 2}, std::vector<float>{1, 2, 3, 4});
  const Tensor copy = tensor;
  const Tensor flat = tensor.reshaped({4});
  tensor.mutable_values()[3] = 9;
  EXPECT_EQ(floats(copy), (std::vector<float>{1, 2, 3, 9}));
  EXPECT_EQ(floats(flat), (std::vector<float>{1, 2, 3, 9}));
  EXPECT_EQ(flat.dims(), Dims{4});
}

TEST(Tensor, SaysWhatDoesNotFit) {
  EXPECT_EQ(error_of([] { Tensor::from_values({2, 2}, std::vector<float>{1, 2, 3}); }),
            "[tensor] [2, 2] needs 4 values, found 3");
  EXPECT_EQ(error_of([] { Tensor(DType::kF32, {2, 2}).reshaped({5}); }),
            "[tensor] [2, 2] can't be read as [5]: the number of elements differs");
  EXPECT_EQ(error_of([] { static_cast<void>(Tensor(DType::kF16, {2}).values()); }),
            "[tensor] expected f32 elements, found f16");
  EXPECT_EQ(error_of([] { Tensor(DType::kF16, {2}).mutable_values(); }), "[tensor] expected f32 elements, found f16");
}

TEST(Tensor, ViewsKeepTheirOwnerAlive) {
  auto owner = std::make_shared<std::vector<float>>(std::vector<float>{1, 2, 3});
  const std::weak_ptr<std::vector<float>> watched = owner;
  Tensor view(DType::kF32, {3}, owner, std::as_bytes(std::span(*owner)));
  owner.reset();
  Tensor reshaped = view.reshaped({3, 1});
  view = {};
  ASSERT_FALSE(watched.expired());
  EXPECT_EQ(floats(reshaped), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(error_of([&] { reshaped.mutable_values(); }), "[tensor] a view of a file can't be written");
  reshaped = {};
  EXPECT_TRUE(watched.expired());
}

TEST(Tensor, ViewsAreExactlyTheirBytes) {
  const std::vector<std::byte> bytes(12);
  const auto view = [&](DType dtype, Dims dims) { Tensor(dtype, std::move(dims), nullptr, bytes); };
  EXPECT_EQ(error_of([&] { view(DType::kF32, {3}); }), "no error");
  EXPECT_EQ(error_of([&] { view(DType::kF32, {2}); }), "[tensor] f32 [2] needs 2 elements of 4 bytes, found 12 bytes");
  EXPECT_EQ(error_of([&] { view(DType::kF32, {4}); }), "[tensor] f32 [4] needs 4 elements of 4 bytes, found 12 bytes");
  // 2^62 elements of 4 bytes are 2^64 bytes: a product that wraps to 0.
  EXPECT_EQ(error_of([&] { Tensor(DType::kF32, {std::int64_t{1} << 62}, nullptr, {}); }),
            "[tensor] f32 [4611686018427387904] needs 4611686018427387904 elements of 4 bytes, found 0 bytes");
  const Tensor nothing(DType::kF32, {0}, nullptr, {});
  EXPECT_FALSE(nothing.empty());
  EXPECT_TRUE(nothing.values().empty());
}

TEST(Tensor, ConvertsEveryTypeToF32) {
  const auto converted = [](const Tensor& tensor) { return floats(tensor.to_f32()); };
  using Floats = std::vector<float>;
  EXPECT_EQ(converted(view_of<std::uint16_t>(DType::kF16, {0x3c00, 0xc000, 0x0001})), (Floats{1, -2, 0x1p-24f}));
  EXPECT_EQ(converted(view_of<std::uint16_t>(DType::kBF16, {0x3f80, 0xc000})), (Floats{1, -2}));
  EXPECT_EQ(converted(view_of<double>(DType::kF64, {0.1, -1e300})), (Floats{0.1f, -HUGE_VALF}));
  EXPECT_EQ(converted(view_of<std::int64_t>(DType::kI64, {-5, std::int64_t{1} << 40})), (Floats{-5, 0x1p40f}));
  EXPECT_EQ(converted(view_of<std::int32_t>(DType::kI32, {-5, 7})), (Floats{-5, 7}));
  EXPECT_EQ(converted(view_of<std::uint8_t>(DType::kU8, {0, 255})), (Floats{0, 255}));
  EXPECT_EQ(converted(view_of<std::int8_t>(DType::kI8, {-128, 127})), (Floats{-128, 127}));
}

TEST(Tensor, ConvertsFromAnyAddress) {
  for (const std::size_t shift : {1u, 2u, 3u, 4u}) {
    const Tensor f32 = view_of<float>(DType::kF32, {1.5f, -2.0f}, shift);
    EXPECT_EQ(floats(f32.to_f32()), (std::vector<float>{1.5f, -2.0f})) << shift;
    EXPECT_EQ(f32.to_f32().bytes().data() == f32.bytes().data(), shift == 4) << "an aligned view needs no copy";
    if (shift != 4) {
      EXPECT_EQ(error_of([&] { static_cast<void>(f32.values()); }),
                "[tensor] f32 elements lie at an unaligned address: expected to_f32() first");
    }
    const Tensor f64 = view_of<double>(DType::kF64, {0.5}, shift);
    EXPECT_EQ(floats(f64.to_f32()), std::vector<float>{0.5f}) << shift;
  }
}

TEST(Tensor, RoundsToHalfPrecision) {
  const Tensor tensor = Tensor::from_values({3}, std::vector<float>{1.0f, 0x1.002p0f, 70000.0f});
  const Tensor f16 = tensor.to(DType::kF16);
  EXPECT_EQ(f16.dtype(), DType::kF16);
  EXPECT_EQ(floats(f16.to_f32()), (std::vector<float>{1.0f, 1.0f, HUGE_VALF}));
  EXPECT_EQ(floats(tensor.to(DType::kBF16).to_f32()), (std::vector<float>{1.0f, 1.0f, 70144.0f}));
  EXPECT_EQ(floats(f16.to(DType::kBF16).to_f32())[0], 1.0f);
  EXPECT_EQ(tensor.to(DType::kF32).bytes().data(), tensor.bytes().data());
  EXPECT_EQ(error_of([&] { tensor.to(DType::kI32); }), "[tensor] expected a conversion to f32, f16 or bf16, found i32");
}

}  // namespace
}  // namespace gcvit
