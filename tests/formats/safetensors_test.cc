// SPDX-License-Identifier: Apache-2.0
#include "formats/safetensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "tests/testing/faults.h"
#include "tests/formats/test_files.h"

namespace gcvit::formats {
namespace {

RawFile parse(std::string_view text) {
  const Bytes bytes(text);
  return parse_safetensors(bytes.span, bytes.owner, "m.safetensors");
}

/// The sentence that ends reading a file of this header and so many bytes of data.
std::string refusal(const std::string& header, std::size_t data_size) {
  return error_of([&] { parse(safetensors_text(header, data_size)); });
}

const Tensor& tensor_of(const RawFile& raw, const std::string& name) {
  const auto found = std::ranges::find(raw.tensors, name, &NamedTensor::name);
  if (found == raw.tensors.end()) throw Error("no tensor " + name);
  return found->tensor;
}

std::vector<float> values_of(const Tensor& tensor) {
  const Tensor converted = tensor.to_f32();
  return {converted.values().begin(), converted.values().end()};
}

TEST(Safetensors, ReadsEveryDtypeTheLibraryWrote) {
  const RawFile raw = read_safetensors(reference("dtypes.safetensors"));
  EXPECT_EQ(raw.format, "safetensors");
  EXPECT_EQ(raw.tensors.size(), 10u);
  EXPECT_EQ(raw.metadata, (std::map<std::string, std::string>{{"made by", "safetensors \u2713"}}));
  const std::vector<float> values = {0.0f, -0.0f, 1.0f, -2.5f, 65504.0f, 0x1p-24f};
  for (const std::string name : {"f32", "f16", "f64"}) {
    EXPECT_EQ(values_of(tensor_of(raw, name)), values) << name;
    EXPECT_EQ(name_of(tensor_of(raw, name).dtype()), name);
    EXPECT_EQ(tensor_of(raw, name).dims(), (Dims{2, 3})) << name;
  }
  EXPECT_TRUE(std::signbit(values_of(tensor_of(raw, "f16"))[1]));
  EXPECT_EQ(values_of(tensor_of(raw, "bf16")), (std::vector<float>{0.0f, -0.0f, 1.0f, -2.5f, 65536.0f, 0x1p-24f}));
  EXPECT_EQ(values_of(tensor_of(raw, "i64")), (std::vector<float>{-0x1p40f, 7.0f}));
  EXPECT_EQ(values_of(tensor_of(raw, "i32")), (std::vector<float>{-3.0f, 0x1p30f}));
  EXPECT_EQ(values_of(tensor_of(raw, "u8")), (std::vector<float>{0.0f, 255.0f, 128.0f}));
  EXPECT_EQ(tensor_of(raw, "scalar").dims(), Dims{});
  EXPECT_EQ(values_of(tensor_of(raw, "scalar")), std::vector<float>{3.5f});
  EXPECT_EQ(tensor_of(raw, "nothing").dims(), (Dims{0, 4}));
  EXPECT_EQ(values_of(tensor_of(raw, "näme \"quoted\"")), std::vector<float>{1.0f});
}

TEST(Safetensors, WritesTheBytesTheLibraryWrote) {
  const RawFile raw = read_safetensors(reference("dtypes.safetensors"));
  const TemporaryFolder folder;
  write_safetensors(folder / "copy.safetensors", raw.tensors, raw.metadata);
  EXPECT_EQ(read_text(folder / "copy.safetensors"), read_text(reference("dtypes.safetensors")));
  EXPECT_EQ(folder.files(), 1u);
}

TEST(Safetensors, ATensorOutlivesTheFile) {
  const TemporaryFolder folder;
  const std::vector<float> values = {1.0f, 2.0f};
  write_safetensors(folder / "m", {{{"a", Tensor::from_values({2}, values)}}}, {});
  Tensor kept = read_safetensors(folder / "m").tensors.at(0).tensor;
  write_safetensors(folder / "m", {{{"a", Tensor::from_values({1}, std::vector<float>{3.0f})}}}, {});
  EXPECT_EQ(values_of(kept), values);
}

TEST(Safetensors, AFailedWriteLeavesTheOldFile) {
  const TemporaryFolder folder;
  const NamedTensor a{"a", Tensor::from_values({1}, std::vector<float>{1.0f})};
  write_safetensors(folder / "m", {{a}}, {});
  const std::string before = read_text(folder / "m");
  EXPECT_EQ(error_of([&] { write_safetensors(folder / "m", {{a, a}}, {}); }),
            "[safetensors] " + folder / "m" + ": the name \"a\" can't be written twice");
  EXPECT_EQ(error_of([&] { write_safetensors(folder / "m", {{a}}, {{"key", "\xff"}}); }),
            "[safetensors] " + folder / "m" + ": a tensor's name or the metadata is not UTF-8");
  EXPECT_EQ(read_text(folder / "m"), before);
  EXPECT_EQ(folder.files(), 1u);
}

TEST(Safetensors, RefusesWhatIsNoFile) {
  const TemporaryFolder folder;
  EXPECT_EQ(error_of([&] { read_safetensors(folder / "none"); }),
            "[safetensors] " + folder / "none" + ": no such file");
  EXPECT_EQ(error_of([&] { read_safetensors(folder / ""); }),
            "[safetensors] " + folder / "" + ": expected a regular file, found a directory");
  write_text(folder / "empty", "");
  EXPECT_EQ(error_of([&] { read_safetensors(folder / "empty"); }),
            "[safetensors] " + folder / "empty" + ": the file is empty");
  write_text(folder / "short", "1234567");
  EXPECT_EQ(error_of([&] { read_safetensors(folder / "short"); }),
            "[safetensors] " + folder / "short" + ": expected a header of at least 10 bytes, file has 7");
}

TEST(Safetensors, RefusesHeaderLengthsBeyondTheFile) {
  std::string text = safetensors_text("{}", 4);
  text[0] = 7;
  EXPECT_EQ(error_of([&] { parse(text); }), "[safetensors] m.safetensors: header length 7: expected at most 6");
  text.replace(0, 8, 8, '\xff');
  EXPECT_EQ(error_of([&] { parse(text); }),
            "[safetensors] m.safetensors: header length 18446744073709551615: expected at most 6");
}

TEST(Safetensors, RefusesHeadersThatAreNotItsJson) {
  const std::string file = "[safetensors] m.safetensors: ";
  EXPECT_EQ(refusal("[]", 0), file + "header: expected { at byte 8");
  EXPECT_EQ(refusal("{]", 0), file + "header: not JSON in UTF-8 at byte 9");
  EXPECT_EQ(refusal("{}}", 0), file + "header: not JSON in UTF-8 at byte 10");
  EXPECT_EQ(refusal("{\"\xc3\":1}", 0), file + "header: not JSON in UTF-8 at byte 11");
  EXPECT_EQ(refusal(R"({"a":1})", 0), file + R"("a": expected an object, found a number)");
  EXPECT_EQ(refusal(R"({"a":[]})", 0), file + R"("a": expected an object, found an array)");
  EXPECT_EQ(refusal(R"({"__metadata__":{"k":1}})", 0), file + R"(metadata "k": expected a text, found a number)");
  EXPECT_EQ(refusal(R"({"__metadata__":{"k":{}}})", 0), file + R"(metadata "k": expected a text, found an object)");
  EXPECT_EQ(refusal(R"({"__metadata__":{"k":"1","k":"2"}})", 0), file + R"(metadata key "k" appears twice)");
  EXPECT_EQ(refusal(R"({"__metadata__":{},"__metadata__":{}})", 0), file + R"(the name "__metadata__" appears twice)");
  const std::string deep(100'000, '[');
  EXPECT_EQ(refusal("{\"a\":" + deep, 0), file + R"("a": expected an object, found an array)");
}

TEST(Safetensors, RefusesTensorsThatAreNotDescribed) {
  const std::string file = "[safetensors] m.safetensors: tensor \"a\": ";
  EXPECT_EQ(refusal(R"({"a":{"dtype":"U8","shape":[1]}})", 1),
            file + "expected dtype, shape and data_offsets, found no data_offsets");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"U8","dtype":"U8"}})", 1),
            file + "expected dtype, shape and data_offsets once each, found \"dtype\" twice");
  EXPECT_EQ(refusal(R"({"a":{"strides":[1]}})", 1),
            file + "expected dtype, shape and data_offsets once each, found \"strides\"");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}})", 1),
            file + "expected dtype F32, F16, BF16, F64, I64, I32, I8 or U8, found \"F8_E4M3\"");
  EXPECT_EQ(refusal(R"({"a":{"dtype":7}})", 1), file + "dtype: expected a text, found a number");
  EXPECT_EQ(refusal(R"({"a":{"shape":[-1]}})", 1),
            file + "shape: expected an array of integers from 0 on, found a negative number");
  EXPECT_EQ(refusal(R"({"a":{"shape":[1.5]}})", 1),
            file + "shape: expected an array of integers from 0 on, found a number that is no 64-bit integer");
  EXPECT_EQ(refusal(R"({"a":{"shape":[[1]]}})", 1),
            file + "shape: expected an array of integers from 0 on, found an array");
  EXPECT_EQ(refusal(R"({"a":{"shape":null}})", 1), file + "shape: expected an array of integers from 0 on, found null");
  EXPECT_EQ(refusal(R"({"a":{"shape":[9223372036854775808]}})", 1),
            file + "shape: expected an array of integers from 0 on, found a number of more than 63 bits");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}})", 1),
            file + "data_offsets: expected begin and end, found 3 numbers");
  const std::string described = R"({"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  EXPECT_EQ(refusal("{\"a\":" + described + ",\"a\":" + described + "}", 1),
            "[safetensors] m.safetensors: the name \"a\" appears twice");
}

TEST(Safetensors, RefusesSizesAndOffsetsThatDoNotFit) {
  const auto header = [](const std::string& shape, const std::string& offsets) {
    return R"({"a":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  const std::string file = "[safetensors] m.safetensors: tensor \"a\": ";
  EXPECT_EQ(refusal(header("[2]", "[0,8]"), 4), file + "ends at byte 70, file has 66");
  EXPECT_EQ(refusal(header("[2]", "[0,9223372036854775807]"), 8),
            file + "ends at byte 9223372036854775887, file has 88");
  EXPECT_EQ(refusal(header("[2]", "[8,0]"), 8), file + "data_offsets: begin 8 is behind end 0");
  EXPECT_EQ(refusal(header("[3]", "[0,8]"), 8), file + "f32 [3] needs 12 bytes, data_offsets give 8");
  EXPECT_EQ(refusal(header("[4611686018427387904,4]", "[0,0]"), 0),
            file + "f32 [4611686018427387904, 4] needs more than 2^63 bytes, data_offsets give 0");
  EXPECT_EQ(refusal(header("[1]", "[4,8]"), 8),
            file + "begins at byte 66, leaving a hole behind the data before it, which end at 62");
  EXPECT_EQ(refusal(header("[1]", "[0,4]"), 8),
            "[safetensors] m.safetensors: the last tensor ends at byte 66, file has 70");
  EXPECT_EQ(refusal(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                    R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                    3),
            "[safetensors] m.safetensors: tensor \"b\": begins at byte 114, inside the data before it, which end at "
            "115");
}

TEST(Safetensors, ShowsHostileNamesInASafeForm) {
  const std::string long_name = std::string(5000, 'x') + "\\u001b[2J";
  const std::string sentence = refusal("{\"" + long_name + "\":1}", 0);
  EXPECT_LT(sentence.size(), 250u);
  EXPECT_NE(sentence.find("x\\x1b[2J"), std::string::npos) << sentence;
}

/// Random damage to a valid file either leaves a valid file or ends in a sentence, never in anything else.
TEST(Safetensors, DamageIsAnsweredBySentences) {
  const std::string valid = read_text(reference("dtypes.safetensors"));
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, valid.data(), 8);
  int refused = 0;
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    Random random(seed);
    std::string text = valid;
    for (std::uint32_t changes = 1 + random.below(3); changes > 0 && !text.empty(); --changes) {
      // The header gets nine of ten changes: there is little to go wrong in the data.
      const auto reach = static_cast<std::uint32_t>(random.below(10) == 0 ? text.size() : 8 + header_size);
      const std::uint32_t place = random.below(std::min(reach, static_cast<std::uint32_t>(text.size())));
      switch (random.below(5)) {
        case 0: text[place] = static_cast<char>(random.below(256)); break;
        case 1: text[place] = "0123456789{}[]\",:"[random.below(17)]; break;
        case 2: text.insert(place, text.substr(random.below(reach) % text.size(), 1 + random.below(40))); break;
        case 3: text.erase(place, 1 + random.below(40)); break;
        default: text.resize(place + 1); break;
      }
    }
    try {
      for (const NamedTensor& tensor : parse(text).tensors) (void)tensor.tensor.to_f32();
    } catch (const Error& error) {
      EXPECT_TRUE(std::string_view(error.what()).starts_with("[safetensors] m.safetensors: ")) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, 3000);
}

TEST(Safetensors, IsWholeOrNotThereOnAnyDeviceThatFails) {
  const TemporaryFolder folder;
  const RawFile raw = read_raw_file(reference("dtypes.safetensors"));
  const std::string path = folder / "m.safetensors";
  testing::expect_whole_or_not_at_all(path, [&] { write_safetensors(path, raw.tensors, {{"format", "pt"}}); });
}

TEST(Safetensors, TakesNoMoreTensorsAndMetadataThanAModelHas) {
  const auto parse = [](const std::string& header) {
    const Bytes bytes(safetensors_text(header, 0));
    return parse_safetensors(bytes.span, bytes.owner, "m");
  };
  const auto list = [](std::size_t count, const std::string& value) {
    std::string text = "{";
    for (std::size_t i = 0; i < count; ++i) text += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":" + value;
    return text + "}";
  };
  const std::string nothing = R"({"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  EXPECT_EQ(parse(list(kMostTensors, nothing)).tensors.size(), kMostTensors);
  EXPECT_EQ(error_of([&] { parse(list(kMostTensors + 1, nothing)); }),
            "[weights] m: expected at most 65536 tensors, found more");
  EXPECT_EQ(parse("{\"__metadata__\":" + list(65536, "\"\"") + "}").metadata.size(), 65536u);
  EXPECT_EQ(error_of([&] { parse("{\"__metadata__\":" + list(65537, "\"\"") + "}"); }),
            "[safetensors] m: metadata: expected at most 65536 keys, found more");
}

}  // namespace
}  // namespace gcvit::formats
