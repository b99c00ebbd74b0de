// SPDX-License-Identifier: Apache-2.0
#include "formats/npy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/random.h"
#include "tests/testing/faults.h"
#include "tests/formats/test_files.h"
#include "tests/testing/unzip.h"

namespace gcvit::formats {
namespace {

Tensor parse(std::string_view text) {
  const Bytes bytes(text);
  return parse_npy(bytes.span, bytes.owner, "x.npy");
}

/// A version 1.0 file of this header and so many data bytes.
std::string npy_text(const std::string& header, std::size_t data_size) {
  std::string text("\x93NUMPY\x01\x00", 8);
  text += {static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  return text + header + std::string(data_size, '\0');
}

std::string refusal(const std::string& header, std::size_t data_size) {
  return error_of([&] { parse(npy_text(header, data_size)); });
}

/// 0, 1/8, 2/8, ...: what tools/make_weight_references.py writes.
std::vector<float> eighths(std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i) / 8.0f;
  return values;
}

TEST(Npy, ReadsEveryVersionNumPyWrites) {
  for (const std::string version : {"1", "2", "3"}) {
    const Tensor tensor = read_npy(reference("version" + version + ".npy"));
    EXPECT_EQ(tensor.dims(), (Dims{2, 3, 4})) << version;
    EXPECT_TRUE(std::ranges::equal(tensor.values(), eighths(24))) << version;
  }
}

TEST(Npy, WritesTheBytesNumPyWrites) {
  const TemporaryFolder folder;
  write_npy(folder / "x.npy", Tensor::from_values({2, 3, 4}, eighths(24)));
  EXPECT_EQ(read_text(folder / "x.npy"), read_text(reference("version1.npy")));
  NpyWriter writer(folder / "y.npy", {3, 4});
  const std::vector<float> values = eighths(24);
  writer.append(std::span(values).first(12));
  writer.append(std::span(values).last(12));
  EXPECT_FALSE(std::filesystem::exists(folder / "y.npy"));
  writer.finish();
  EXPECT_EQ(read_text(folder / "y.npy"), read_text(reference("version1.npy")));
}

TEST(Npy, ReadsWhatItWrites) {
  const TemporaryFolder folder;
  for (const Dims& dims : {Dims{}, Dims{5}, Dims{0, 3}, Dims{12345, 1, 2}}) {
    const std::vector<float> values = eighths(static_cast<std::size_t>(element_count(dims)));
    write_npy(folder / "x.npy", Tensor::from_values(dims, values));
    EXPECT_EQ(std::filesystem::file_size(folder / "x.npy") % 64, values.size() * 4 % 64);
    const Tensor back = read_npy(folder / "x.npy");
    EXPECT_EQ(back.dims(), dims);
    EXPECT_TRUE(std::ranges::equal(back.values(), values));
  }
  NpyWriter writer(folder / "none.npy", {2});
  writer.finish();
  EXPECT_EQ(read_npy(folder / "none.npy").dims(), (Dims{0, 2}));
}

TEST(Npy, AppendsWholeRowsOnlyAndLeavesNothingUnfinished) {
  const TemporaryFolder folder;
  {
    NpyWriter writer(folder / "x.npy", {3, 4});
    EXPECT_EQ(error_of([&] { writer.append(eighths(13)); }),
              "[npy] " + folder / "x.npy" + ": expected whole rows of [3, 4], found 13 values");
  }
  EXPECT_EQ(folder.files(), 0u);
}

TEST(Npy, DataThatIsNotAlignedIsReadAllTheSame) {
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}";
  for (std::size_t padding = 0; padding < 4; ++padding) {
    EXPECT_EQ(parse(npy_text(header + std::string(padding, ' '), 8)).values()[1], 0.0f);
  }
}

TEST(Npy, SaysWhatItFoundInstead) {
  const auto refused = [](const std::string& name) {
    const std::string path = reference(name);
    return error_of([&] { read_npy(path); }).substr(("[npy] " + path + ": ").size());
  };
  EXPECT_EQ(refused("float64.npy"), "expected dtype '<f4' (little-endian float32), found \"<f8\"");
  EXPECT_EQ(refused("big_endian.npy"), "expected dtype '<f4' (little-endian float32), found \">f4\"");
  EXPECT_EQ(refused("structured.npy"), "expected dtype '<f4' (little-endian float32), found a structured one");
  EXPECT_EQ(refused("fortran.npy"), "expected C order, found Fortran order");
  EXPECT_EQ(refused("timm.safetensors"), "expected a .npy file, found a safetensors file");
  EXPECT_EQ(refused("none.npy"), "no such file");
  EXPECT_EQ(refused("."), "expected a regular file, found a directory");
}

TEST(Npy, RefusesBrokenFiles) {
  const std::string valid = read_text(reference("version1.npy"));
  EXPECT_EQ(error_of([&] { parse(valid.substr(0, 9)); }), "[npy] x.npy: cut short inside its header, file has 9 bytes");
  EXPECT_EQ(error_of([&] { parse(valid.substr(0, 127)); }), "[npy] x.npy: the header ends at byte 128, file has 127");
  EXPECT_EQ(error_of([&] { parse(valid.substr(0, 223)); }),
            "[npy] x.npy: float32 [2, 3, 4] needs 96 bytes, file has 95 behind its header");
  EXPECT_EQ(error_of([&] { parse(valid + "x"); }),
            "[npy] x.npy: float32 [2, 3, 4] needs 96 bytes, file has 97 behind its header");
  EXPECT_EQ(error_of([&] { parse(std::string("\x93NUMPY\x04\x00", 8)); }),
            "[npy] x.npy: expected version 1.0, 2.0 or 3.0, found 4.0");
  EXPECT_EQ(error_of([&] { parse(std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12)); }),
            "[npy] x.npy: the header ends at byte 4294967307, file has 12");
}

TEST(Npy, RefusesBrokenHeaders) {
  const std::string file = "[npy] x.npy: ";
  EXPECT_EQ(refusal("", 0), file + "header: expected '{', found its end");
  EXPECT_EQ(refusal("{}", 0), file + "header: expected descr, fortran_order and shape, found no descr");
  EXPECT_EQ(refusal("{'descr': '<f4', 'fortran_order': False}", 0),
            file + "header: expected descr, fortran_order and shape, found no shape");
  EXPECT_EQ(refusal("{'descr': '<f4', 'descr': '<f4'}", 0),
            file + "header: expected descr, fortran_order and shape once each, found \"descr\"");
  EXPECT_EQ(refusal("{'descr': <f4}", 0), file + "header: expected a text in quotes, found \"<f4}\"");
  EXPECT_EQ(refusal("{'fortran_order': 0}", 0), file + "header: expected True or False, found \"0}\"");
  EXPECT_EQ(refusal("{'shape': (2, -3)}", 0), file + "header: expected a length from 0 on, found \"-3)}\"");
  EXPECT_EQ(refusal("{'shape': (99999999999999999999,)}", 0),
            file + "header: expected a length from 0 on, found \"99999999999999999999,)}\"");
  EXPECT_EQ(refusal("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}", 0),
            file + "float32 [4611686018427387904, 4] needs more than 2^63 bytes, file has 0 behind its header");
  EXPECT_EQ(refusal("{'descr': '<f4', 'fortran_order': False, 'shape': (0,)} x", 0),
            file + "header: expected its end, found \"x\"");
}

TEST(Npy, DamageIsAnsweredBySentences) {
  const std::string valid = read_text(reference("version1.npy"));
  int refused = 0;
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    Random random(seed);
    std::string text = valid;
    for (std::uint32_t changes = 1 + random.below(3); changes > 0 && !text.empty(); --changes) {
      const std::uint32_t place = random.below(std::min(90u, static_cast<std::uint32_t>(text.size())));
      switch (random.below(4)) {
        case 0: text[place] = static_cast<char>(random.below(256)); break;
        case 1: text[place] = "0123456789{}()',: "[random.below(18)]; break;
        case 2: text.erase(place, 1 + random.below(8)); break;
        default: text.resize(place + 1); break;
      }
    }
    try {
      (void)parse(text);
    } catch (const Error& error) {
      EXPECT_TRUE(std::string_view(error.what()).starts_with("[npy] x.npy: ")) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, 2000);
}

TEST(Npz, HoldsItsMembersStored) {
  const TemporaryFolder folder;
  const std::vector<NamedTensor> tensors = {{"logits", Tensor::from_values({2, 3}, eighths(6))},
                                            {"level1", Tensor::from_values({2, 4, 4, 8}, eighths(256))},
                                            {"none", Tensor::from_values({0}, {})}};
  write_npz(folder / "x.npz", tensors);
  EXPECT_EQ(folder.files(), 1u);

  const auto entries = testing::unzip(folder / "x.npz");
  EXPECT_EQ(entries.size(), 3u);
  for (const NamedTensor& entry : tensors) {
    const Tensor back = parse(entries.at(entry.name + ".npy"));
    EXPECT_EQ(back.dims(), entry.tensor.dims());
    EXPECT_TRUE(std::ranges::equal(back.values(), entry.tensor.values()));
  }

  write_npz(folder / "y.npz", tensors);
  EXPECT_EQ(read_text(folder / "x.npz"), read_text(folder / "y.npz"));
}

TEST(Npz, ReadsTheArraysOfAWeightFile) {
  const RawFile raw = read_raw_file(reference("arrays.npz"));
  EXPECT_EQ(raw.format, "npz");
  const auto expect = [&](const std::string& name, DType dtype, const Dims& dims, const std::vector<float>& values) {
    const auto found = std::ranges::find(raw.tensors, name, &NamedTensor::name);
    ASSERT_NE(found, raw.tensors.end()) << name;
    EXPECT_EQ(found->tensor.dtype(), dtype) << name;
    EXPECT_EQ(found->tensor.dims(), dims) << name;
    const Tensor converted = found->tensor.to_f32();
    EXPECT_TRUE(std::ranges::equal(converted.values(), values)) << name;
  };
  EXPECT_EQ(raw.tensors.size(), 6u);
  expect("f4", DType::kF32, {2, 3, 4}, eighths(24));
  expect("f2", DType::kF16, {2, 3, 4}, eighths(24));
  expect("fortran/f8", DType::kF64, {2, 3, 4}, eighths(24));
  expect("i8", DType::kI64, {2}, {-1099511627776.0f, 7.0f});
  expect("scalar", DType::kF32, {}, {3.5f});
  expect("bool", DType::kU8, {2}, {1.0f, 0.0f});
}

TEST(Npz, RefusesOtherWeights) {
  const auto refused = [](const std::string& name) {
    const std::string sentence = error_of([&] { read_raw_file(reference(name)); });
    return sentence.substr(sentence.find(".npz: ") + 6);
  };
  EXPECT_EQ(refused("compressed.npz"),
            "entry \"f4.npy\": expected stored bytes, found compressed ones (method 8); unpack it, or save it "
            "without compression");
  EXPECT_EQ(refused("big_endian.npz"),
            "\"a.npy\": expected a little-endian dtype of f4, f2, f8, i8, i4, u1 or b1, found \">f4\"");
  std::string damaged = read_text(reference("arrays.npz"));
  damaged[damaged.find("NUMPY") + 130] ^= 1;
  const TemporaryFolder folder;
  write_text(folder / "x.npz", damaged);
  const std::string sentence = error_of([&] { read_raw_file(folder / "x.npz"); });
  EXPECT_TRUE(sentence.ends_with(": the file is damaged")) << sentence;
}

TEST(Npz, FailsWithASentenceAndLeavesNothing) {
  const TemporaryFolder folder;
  const Tensor tensor = Tensor::from_values({1}, eighths(1));
  EXPECT_EQ(error_of([&] { write_npz(folder / "none/x.npz", {{{"a", tensor}}}); }),
            "[file] " + folder / "none/x.npz" + ": can't be written: No such file or directory");
  EXPECT_EQ(error_of([&] { write_npz(folder / "x.npz", {{{"a", tensor}, {"a", tensor}}}); }),
            "[npz] " + folder / "x.npz" + ": member \"a\" can't be written twice");
  EXPECT_EQ(folder.files(), 0u);
}

TEST(Npy, IsWholeOrNotThereOnAnyDeviceThatFails) {
  const TemporaryFolder folder;
  const std::string path = folder / "x.npy";
  testing::expect_whole_or_not_at_all(path, [&] { write_npy(path, Tensor::from_values({5, 9}, eighths(45))); });
  testing::expect_whole_or_not_at_all(path, [&] {
    NpyWriter writer(path, {9});
    for (int rows = 0; rows < 3; ++rows) writer.append(eighths(18));
    writer.finish();
  });
}

TEST(Npy, WhatIsReadBackLivesOnWithoutTheFile) {
  const TemporaryFolder folder;
  std::optional<NpyWriter> writer(std::in_place, folder / "x.npy", Dims{3});
  writer->append(eighths(6));
  const Tensor rows = writer->read_back();
  writer.reset();
  EXPECT_EQ(folder.files(), 0u);
  EXPECT_EQ(rows.dims(), (Dims{2, 3}));
  EXPECT_TRUE(std::ranges::equal(rows.values(), eighths(6)));

  NpyWriter other(folder / "y.npy", {3});
  other.append(eighths(6));
  testing::Faults faults;
  faults.failing_call = 1;  // after the header
  faults.error = EIO;
  EXPECT_EQ(error_of([&] { other.read_back(); }),
            "[file] " + folder / "y.npy" + ": can't be written: Input/output error");
}

TEST(Npz, IsWholeOrNotThereOnAnyDeviceThatFails) {
  const TemporaryFolder folder;
  const std::string path = folder / "x.npz";
  const std::vector<NamedTensor> tensors = {{"logits", Tensor::from_values({2, 3}, eighths(6))},
                                            {"level1", Tensor::from_values({2, 4, 4, 8}, eighths(256))},
                                            {"none", Tensor::from_values({0}, {})}};
  testing::expect_whole_or_not_at_all(path, [&] { write_npz(path, tensors); });
}

}  // namespace
}  // namespace gcvit::formats
