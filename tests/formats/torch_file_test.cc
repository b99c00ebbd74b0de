// SPDX-License-Identifier: Apache-2.0
#include "formats/torch_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <numeric>

#include "base/random.h"
#include "tests/formats/test_files.h"
#include "formats/raw_file.h"

namespace gcvit::formats {
namespace {

using Values = std::vector<float>;

/// What counts as a model here: names below a level's query generator.
std::vector<WrappedModel> find_models(std::span<const std::string_view> names) {
  for (const std::string_view name : names) {
    if (name.find("q_global_gen.") != name.npos) return {{.prefix = "", .averaged = false}};
  }
  return {};
}

RawFile read(const std::string& name) { return read_raw_file(reference("torch/" + name)); }

std::string refusal(const std::string& name) {
  const std::string path = reference("torch/" + name);
  const std::string sentence = error_of([&] { read_raw_file(path); });
  const std::size_t place = sentence.find(path + ": ");
  EXPECT_NE(place, std::string::npos) << sentence;
  return place == std::string::npos ? sentence : sentence.substr(place + path.size() + 2);
}

/// From memory, through the same door as a file of these bytes.
RawFile parse(std::string_view text) {
  const Bytes bytes(text);
  if (is_torch_stream(text)) return parse_torch_stream(bytes.span, bytes.owner, "x.pth", {.find_models = find_models});
  return parse_torch_archive(ZipArchive(bytes.span, "x.pth"), bytes.owner, "x.pth", {.find_models = find_models});
}

const Tensor& tensor_of(const RawFile& raw, const std::string& name) {
  return std::ranges::find(raw.tensors, name, &NamedTensor::name)->tensor;
}

Values values_of(const Tensor& tensor) {
  const Tensor converted = tensor.to_f32();
  return {converted.values().begin(), converted.values().end()};
}

Values eighths(std::initializer_list<int> numerators) {
  Values values;
  for (const int numerator : numerators) values.push_back(static_cast<float>(numerator) / 8.0f);
  return values;
}

Values all_eighths() {
  Values values(24);
  for (std::size_t i = 0; i < 24; ++i) values[i] = static_cast<float>(i) / 8.0f;
  return values;
}

void expect_all_tensors(const RawFile& raw) {
  ASSERT_EQ(raw.tensors.size(), 17u);
  EXPECT_EQ(raw.format, "pytorch");
  const std::pair<const char*, DType> dtypes[] = {
      {"f32", DType::kF32}, {"f16", DType::kF16}, {"bf16", DType::kBF16}, {"f64", DType::kF64}};
  for (const auto& [name, dtype] : dtypes) {
    EXPECT_EQ(tensor_of(raw, name).dtype(), dtype);
    EXPECT_EQ(tensor_of(raw, name).dims(), (Dims{2, 3, 4}));
    EXPECT_EQ(values_of(tensor_of(raw, name)), all_eighths());
  }
  EXPECT_EQ(tensor_of(raw, "i64").dtype(), DType::kI64);
  EXPECT_EQ(values_of(tensor_of(raw, "i64")), (Values{-1099511627776.0f, 7.0f}));
  EXPECT_EQ(tensor_of(raw, "i32").dtype(), DType::kI32);
  EXPECT_EQ(values_of(tensor_of(raw, "i32")), (Values{-3.0f, 1073741824.0f}));
  EXPECT_EQ(tensor_of(raw, "u8").dtype(), DType::kU8);
  EXPECT_EQ(values_of(tensor_of(raw, "u8")), (Values{0.0f, 255.0f, 128.0f}));
  EXPECT_EQ(values_of(tensor_of(raw, "bool")), (Values{1.0f, 0.0f}));
  EXPECT_EQ(tensor_of(raw, "scalar").dims(), Dims{});
  EXPECT_EQ(values_of(tensor_of(raw, "scalar")), Values{3.5f});
  EXPECT_EQ(tensor_of(raw, "nothing").dims(), (Dims{0, 4}));
  EXPECT_EQ(values_of(tensor_of(raw, "parameter")), Values{0.5f});

  // Strides: element [i, j, k] of the original is number 12 i + 4 j + k.
  EXPECT_EQ(tensor_of(raw, "transposed").dims(), (Dims{4, 2, 3}));
  EXPECT_EQ(values_of(tensor_of(raw, "transposed")),
            eighths({0, 4, 8, 12, 16, 20, 1, 5, 9, 13, 17, 21, 2, 6, 10, 14, 18, 22, 3, 7, 11, 15, 19, 23}));
  EXPECT_EQ(tensor_of(raw, "channels_last").dims(), (Dims{1, 2, 3, 4}));
  EXPECT_EQ(values_of(tensor_of(raw, "channels_last")), all_eighths());
  EXPECT_EQ(tensor_of(raw, "every_other").dims(), (Dims{2, 2, 3}));
  EXPECT_EQ(values_of(tensor_of(raw, "every_other")), eighths({1, 2, 3, 9, 10, 11, 13, 14, 15, 21, 22, 23}));
  // Pieces of one storage.
  EXPECT_EQ(values_of(tensor_of(raw, "first")), eighths({0, 1, 2, 3}));
  EXPECT_EQ(tensor_of(raw, "last").dims(), (Dims{2, 2}));
  EXPECT_EQ(values_of(tensor_of(raw, "last")), eighths({6, 7, 8, 9}));
  EXPECT_EQ(tensor_of(raw, "last").bytes().data() - tensor_of(raw, "first").bytes().data(), 24);
  EXPECT_EQ(values_of(tensor_of(raw, "expanded")), (Values{1.0f, 1.0f, 1.0f}));
}

TEST(TorchFile, EveryDtypeStrideAndProtocolInBothContainers) {
  for (const std::string name : {"dtypes", "protocol3", "protocol4", "protocol5"}) {
    for (const std::string container : {"zip", "stream"}) {
      SCOPED_TRACE(name + " " + container);
      expect_all_tensors(read(name + "." + container + ".pth"));
    }
  }
  expect_all_tensors(read("protocol1.stream.pth"));
  EXPECT_EQ(read("dtypes.zip.pth").notes, std::vector<std::string>{"PyTorch's ZIP container (torch.save since 1.6)"});
  EXPECT_EQ(read("dtypes.stream.pth").notes, std::vector<std::string>{"PyTorch's container from before 1.6"});
}

TEST(TorchFile, WhatStandsBesideTheWeightsIsSkipped) {
  for (const std::string container : {"zip", "stream"}) {
    const RawFile raw = read("checkpoint." + container + ".pth");
    ASSERT_EQ(raw.tensors.size(), 7u);
    EXPECT_EQ(values_of(tensor_of(raw, "0.weight")), Values(6, 1.0f));
    EXPECT_EQ(values_of(tensor_of(raw, "1.bias")), Values(3, 4.0f));
    EXPECT_EQ(tensor_of(raw, "1.num_batches_tracked").dtype(), DType::kI64);
    EXPECT_EQ(raw.notes[1], "weights from \"state_dict\" of the saved dict; \"state_dict_ema\" is left alone");
  }
}

TEST(TorchFile, ChoosesTheDictOfWeightsByAFixedOrder) {
  const RawFile ema = read("only_ema.zip.pth");
  EXPECT_EQ(ema.notes[1], "weights from \"model_ema\" of the saved dict");
  EXPECT_EQ(values_of(tensor_of(ema, "0.weight")), Values(6, 101.0f));
  const RawFile nested = read("nested.zip.pth");
  EXPECT_EQ(nested.notes[1], "weights from \"model\" > \"state_dict\" of the saved dict");
  EXPECT_EQ(nested.tensors.size(), 7u);
  EXPECT_EQ(read("other_name.zip.pth").notes[1], "weights from \"weights\" of the saved dict");
  EXPECT_EQ(refusal("two_names.zip.pth"),
            "expected a dict of tensors, or one under \"state_dict\", \"model\", \"model_state_dict\", "
            "\"state_dict_ema\", \"model_ema\"; found \"a\": a dict, \"b\": a dict");
}

TEST(TorchFile, RefusesOtherTensors) {
  const std::string expected = "expected float32, float16, bfloat16, float64, int64, int32, uint8 or bool, found ";
  EXPECT_EQ(refusal("short.zip.pth"), "tensor \"weight\": " + expected + "torch.ShortStorage");
  EXPECT_EQ(refusal("short.stream.pth"), "tensor \"weight\": " + expected + "torch.ShortStorage");
  EXPECT_EQ(refusal("uint16.zip.pth"), "tensor \"weight\": " + expected + "torch.uint16");
  EXPECT_EQ(refusal("sparse.zip.pth"),
            "tensor \"weight\": expected a dense tensor, found \"torch._utils._rebuild_sparse_tensor\"");
  EXPECT_EQ(refusal("big_endian.zip.pth"),
            "expected little-endian tensors, found big-endian ones; save the file anew on a usual machine");
  EXPECT_EQ(refusal("big_endian.stream.pth"), refusal("big_endian.zip.pth"));
  EXPECT_EQ(refusal("module.zip.pth"),
            "expected a state_dict, found an object of \"torch.nn.modules.linear.Linear\": a whole model was pickled; "
            "save model.state_dict() instead");
  EXPECT_EQ(refusal("script.pt"),
            "expected a state_dict, found a TorchScript program; save model.state_dict() instead");
  EXPECT_EQ(refusal("plain.pkl"), "expected a weight file, found a pickle that torch.save didn't write");
}

TEST(TorchFile, RefusesCallsByName) {
  const auto call = [](const std::string& sentence) { return sentence.substr(sentence.find(": ") + 2); };
  EXPECT_EQ(call(refusal("system.zip.pth")),
            "expected plain data, found a call of \"posix.system\", which would run code in Python");
  EXPECT_EQ(call(refusal("system.stream.pth")), call(refusal("system.zip.pth")));
  EXPECT_EQ(call(refusal("eval.zip.pth")),
            "expected plain data, found a call of \"__builtin__.eval\", which would run code in Python");
  EXPECT_EQ(call(refusal("hidden.zip.pth")), call(refusal("eval.zip.pth")));
}

std::string with(std::string text, std::string_view from, std::string_view to) {
  const std::size_t place = text.find(from);
  EXPECT_NE(place, std::string::npos);
  return text.replace(place, from.size(), to);
}

TEST(TorchFile, TensorsStayInTheirStorage) {
  // The offset, K 0, and the size, K 4 in a tuple, of a piece of a storage with 10 elements.
  const std::string text = read_text(reference("torch/dtypes.stream.pth"));
  const std::string first = std::string("K\x00K\x04\x85", 5);
  const std::string place = "[torch] x.pth: tensor \"first\": ";
  ASSERT_NE(text.find(first), std::string::npos);
  EXPECT_EQ(error_of([&] { parse(with(text, first, std::string("K\x07K\x04\x85", 5))); }),
            place + "size [4], stride [1] from element 7 on leave its storage of 10 elements");
  EXPECT_EQ(error_of([&] { parse(with(text, first, std::string("K\x00K\x0b\x85", 5))); }),
            place + "size [11], stride [1] from element 0 on leave its storage of 10 elements");
  EXPECT_EQ(error_of([&] { parse(with(text, first, std::string("K\x00\x89\x89\x86", 5))); }),
            place + "size: expected integers, found a bool");
}

TEST(TorchFile, EveryTruncationIsRefused) {
  for (const std::string name :
       {"dtypes.zip.pth", "dtypes.stream.pth", "protocol1.stream.pth", "protocol5.stream.pth"}) {
    const std::string text = read_text(reference("torch/" + name));
    for (std::size_t size = 0; size < text.size(); ++size) {
      const std::string sentence = error_of([&] { parse(text.substr(0, size)); });
      EXPECT_TRUE(sentence.starts_with("[")) << name << " " << size;
    }
  }
}

TEST(TorchFile, DamageIsAnsweredBySentences) {
  for (const std::string name : {"checkpoint.stream.pth", "dtypes.zip.pth", "protocol5.stream.pth"}) {
    const std::string valid = read_text(reference("torch/" + name));
    int refused = 0;
    for (std::uint64_t seed = 0; seed < 3000; ++seed) {
      Random random(seed);
      std::string text = valid;
      for (std::uint32_t changes = 1 + random.below(3); changes > 0 && !text.empty(); --changes) {
        const std::uint32_t place = random.below(static_cast<std::uint32_t>(text.size()));
        switch (random.below(5)) {
          case 0: text[place] = static_cast<char>(random.below(256)); break;
          case 1: text[place] = "().0abcdehjlqrstu\x81\x85\x86\x87\x8a\x90\x93\x94"[random.below(25)]; break;
          case 2: text[place] = "\x00\x01\x7f\x80\xff"[random.below(5)]; break;
          case 3: text.insert(place, text.substr(random.below(place + 1), 1 + random.below(40))); break;
          default: text.erase(place, 1 + random.below(20)); break;
        }
      }
      try {
        for (const NamedTensor& tensor : parse(text).tensors) (void)tensor.tensor.to_f32();
      } catch (const Error& error) {
        const std::string_view sentence = error.what();
        EXPECT_TRUE(sentence.starts_with("[torch] x.pth: ") || sentence.starts_with("[pickle] x.pth: ") ||
                    sentence.starts_with("[zip] x.pth: "))
            << sentence;
        ++refused;
      }
    }
    EXPECT_GT(refused, 1000) << name;
  }
}

// Files made by hand, in the older container: pickles and then the storages.

std::string text_value(std::string_view text) {
  std::string value = "X0000";
  const auto size = static_cast<std::uint32_t>(text.size());
  std::memcpy(value.data() + 1, &size, 4);
  return value.append(text);
}

std::string integer_value(std::int32_t number) {
  std::string value = "J0000";
  std::memcpy(value.data() + 1, &number, 4);
  return value;
}

/// A half-precision tensor of `size` elements, all of storage `key`.
std::string half_tensor(std::string_view key, std::int32_t size, std::string_view function = "_rebuild_tensor_v2") {
  const std::string dims = "(" + integer_value(size) + "t";
  return "ctorch._utils\n" + std::string(function) + "\n((" + text_value("storage") + "ctorch\nHalfStorage\n" +
         text_value(key) + text_value("cpu") + integer_value(size) + "tQ" + integer_value(0) + dims + "(" +
         integer_value(1) + "t\x89}tR";
}

std::string stream(std::string_view object, const std::vector<std::pair<std::string, std::int64_t>>& storages) {
  using namespace std::string_literals;
  std::string text = "\x80\x02\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.\x80\x02"s;
  text.append(object).append(".\x80\x02(");
  for (const auto& [key, size] : storages) text += text_value(key);
  text += "l.";
  for (const auto& [key, size] : storages) {
    std::string head(8, '\0');
    std::memcpy(head.data(), &size, 8);
    text += head + std::string(static_cast<std::size_t>(2 * size), '\0');
  }
  return text;
}

TEST(TorchFile, TensorsThatShareAStorageCountEachTime) {
  constexpr std::int32_t kSize = 1 << 20;  // 2 MiB
  const auto sharing = [&](int tensors) {
    std::string object = half_tensor("0", kSize) + "q\x01" + "0}(";
    for (int i = 0; i < tensors; ++i) object += text_value("w" + std::to_string(i)) + "h\x01";
    return stream(object + "u", {{"0", kSize}});
  };
  // Twice the storage and 16 MiB.
  EXPECT_EQ(parse(sharing(10)).tensors.size(), 10u);
  EXPECT_EQ(error_of([&] { parse(sharing(11)); }),
            "[torch] x.pth: tensor \"w10\": size [1048576], stride [1]: the tensors share their storages so often that "
            "they are over twice the file");
}

TEST(TorchFile, HonestFilesShareStorages) {
  // Tied tensors, and a dict beside the chosen one that holds the same tensors many times.
  constexpr std::int32_t kSize = 4 << 20;  // 8 MiB
  std::string object = half_tensor("0", kSize) + "q\x01" + "0}(" + text_value("state_dict") + "}(" + text_value("a") +
                       "h\x01" + text_value("tied") + "h\x01u" + text_value("model") + "}(";
  for (int i = 0; i < 100; ++i) object += text_value("b" + std::to_string(i)) + "h\x01";
  const RawFile raw = parse(stream(object + "uu", {{"0", kSize}}));
  ASSERT_EQ(raw.tensors.size(), 2u);
  EXPECT_EQ(raw.tensors[0].tensor.bytes().data(), raw.tensors[1].tensor.bytes().data());
  EXPECT_EQ(raw.notes[1], "weights from \"state_dict\" of the saved dict; \"model\" is left alone");
}

/// A GCViT as far as a dict with one is known.
std::string some_model(const std::string& prefix = "") {
  return "}(" + text_value(prefix + "levels.0.q_global_gen.to_q_global.0.conv.0.weight") + half_tensor("0", 1) + "u";
}

std::vector<std::string> others_of(const RawFile& raw) {
  std::vector<std::string> places;
  for (const StoredWeights& one : raw.others) places.push_back(one.place);
  return places;
}

TEST(TorchFile, NamesOtherDictsWithAModel) {
  for (const std::string key : {"model", "state_dict"}) {
    const RawFile raw = parse(stream("}(" + text_value("best_" + key) + some_model() + text_value(key) + some_model() +
                                         text_value("optimizer") + "}(" + text_value("momentum") + some_model() + "uu",
                                     {{"0", 1}}));
    EXPECT_EQ(raw.place, '"' + key + '"');
    EXPECT_EQ(others_of(raw), (std::vector<std::string>{"\"best_" + key + '"'}));
  }
}

TEST(TorchFile, NamesListsOfAverages) {
  const auto nameless = [&](const std::string& rest) {
    return parse(stream("}(" + text_value("model") + some_model() + rest + "u", {{"0", 1}})).nameless;
  };
  const std::string list = "](" + half_tensor("0", 1) + half_tensor("0", 1) + "e";
  EXPECT_EQ(nameless(text_value("ema") + "}(" + text_value("decay") + "N" + text_value("shadow_params") + list + "u"),
            "\"ema\" > \"shadow_params\"");
  EXPECT_EQ(nameless(text_value("shadow_params") + list), "\"shadow_params\"");
  EXPECT_EQ(nameless(text_value("ema_params") + list), "\"ema_params\"");
  EXPECT_EQ(nameless(text_value("params") + list), "");
  EXPECT_EQ(nameless(text_value("shadow_params") + "]"), "");
  EXPECT_EQ(nameless(text_value("shadow_params") + "](Ne"), "");
  EXPECT_EQ(nameless(text_value("optimizer") + "}(" + text_value("exp_avg") + list + "u"), "");
}

TEST(TorchFile, TakesTimeForItsBytesAlone) {
  const auto seconds_of = [](const std::function<void()>& run) {
    const auto begin = std::chrono::steady_clock::now();
    run();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  const std::string megabytes(4 << 20, 'k');
  const auto numbered = [](int i) { return text_value(std::to_string(i)); };
  constexpr double kSeconds = 20.0;
  // A callable with a long name, made once and stored under many names.
  std::string called = half_tensor("0", 1, "_rebuild_" + megabytes) + "q\x01" + "0}(";
  for (int i = 0; i < 100'000; ++i) called += numbered(i) + "h\x01";
  EXPECT_LT(seconds_of([&] { error_of([&] { parse(stream(called + "u", {{"0", 1}})); }); }), kSeconds);
  // A storage with a long key that many tensors name.
  const std::string tensor = half_tensor(megabytes, 1);
  const std::size_t key = tensor.find(text_value(megabytes));
  const std::string rest = tensor.substr(key + megabytes.size() + 5);
  std::string keyed = text_value(megabytes) + "q\x01" + "0}(";
  for (int i = 0; i < 20'000; ++i) keyed += numbered(i) + tensor.substr(0, key) + "h\x01" + rest;
  EXPECT_LT(seconds_of([&] { EXPECT_EQ(parse(stream(keyed + "u", {{megabytes, 1}})).tensors.size(), 20'000u); }),
            kSeconds);
  // A dict that holds itself wherever it might be chosen from.
  std::string circle = "}q\x01(";
  for (const char* wrapper : {"state_dict", "model", "model_state_dict", "state_dict_ema", "model_ema"}) {
    circle += text_value(wrapper) + "h\x01";
  }
  for (int i = 0; i < 200'000; ++i) circle += numbered(i) + "N";
  EXPECT_LT(seconds_of([&] { error_of([&] { parse(stream(circle + "u", {})); }); }), kSeconds);
}

}  // namespace
}  // namespace gcvit::formats
