// SPDX-License-Identifier: Apache-2.0
// That torch itself accepts these files is tools/parity/compare_files.py's to say.
#include "formats/torch_writer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/testing/faults.h"
#include "tests/testing/unzip.h"
#include "tests/formats/test_files.h"
#include "formats/zip_archive.h"

namespace gcvit::formats {
namespace {

TEST(TorchWriter, WhatIsWrittenComesBackBitForBit) {
  const TemporaryFolder folder;
  const RawFile raw = read_raw_file(reference("dtypes.safetensors"));
  write_torch(folder / "x.pth", raw.tensors);
  EXPECT_EQ(folder.files(), 1u);
  const RawFile back = read_raw_file(folder / "x.pth");
  EXPECT_EQ(back.format, "pytorch");
  ASSERT_EQ(back.tensors.size(), raw.tensors.size());
  for (std::size_t i = 0; i < raw.tensors.size(); ++i) {
    const auto [expected, found] = std::pair(raw.tensors[i], back.tensors[i]);
    EXPECT_EQ(found.name, expected.name);
    EXPECT_EQ(found.tensor.dtype(), expected.tensor.dtype());
    EXPECT_EQ(found.tensor.dims(), expected.tensor.dims());
    EXPECT_TRUE(std::ranges::equal(found.tensor.bytes(), expected.tensor.bytes())) << expected.name;
  }
  write_torch(folder / "y.pth", raw.tensors);
  EXPECT_EQ(read_text(folder / "x.pth"), read_text(folder / "y.pth"));
}

TEST(TorchWriter, StoragesAreAlignedAndIntact) {
  const TemporaryFolder folder;
  const std::vector<float> values(33, 1.5f);
  write_torch(folder / "x.pth",
              {{{"a", Tensor::from_values({33}, values)}, {"b", Tensor::from_values({3, 11}, values)}}});
  const std::string text = read_text(folder / "x.pth");
  const Bytes bytes(text);
  const ZipArchive written(bytes.span, "x");
  for (const ZipArchive::Entry& entry : written.entries()) {
    EXPECT_EQ((entry.bytes.data() - bytes.span.data()) % 64, 0) << entry.name;
    check_crc(entry, "x");
  }
  const auto entries = testing::unzip(folder / "x.pth");
  EXPECT_EQ(entries.size(), 5u);
  EXPECT_EQ(entries.at("archive/version"), "3\n");
  EXPECT_EQ(entries.at("archive/data/0").size(), 33 * sizeof(float));
}

TEST(TorchWriter, RefusesDoubledNamesAndLeavesNothing) {
  const TemporaryFolder folder;
  const Tensor tensor = Tensor::from_values({1}, std::vector<float>{1.0f});
  EXPECT_EQ(error_of([&] { write_torch(folder / "x.pth", {{{"a", tensor}, {"a", tensor}}}); }),
            "[torch] " + folder / "x.pth" + ": the name \"a\" can't be written twice");
  EXPECT_EQ(folder.files(), 0u);
}

TEST(TorchWriter, IsWholeOrNotThereOnAnyDeviceThatFails) {
  const TemporaryFolder folder;
  const RawFile raw = read_raw_file(reference("dtypes.safetensors"));
  const std::string path = folder / "m.pth";
  testing::expect_whole_or_not_at_all(path, [&] { write_torch(path, raw.tensors); });
}

}  // namespace
}  // namespace gcvit::formats
