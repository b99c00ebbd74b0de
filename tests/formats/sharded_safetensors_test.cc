// SPDX-License-Identifier: Apache-2.0
#include "formats/sharded_safetensors.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "tests/formats/test_files.h"

namespace gcvit::formats {
namespace {

const std::string kFolder = reference("sharded");

std::string refusal(const std::string& index) {
  return error_of([&] { parse_shard_index(Bytes(index).span, "i.json"); });
}

TEST(ShardedSafetensors, TheIndexAndItsFolderOpenAllShards) {
  for (const std::string& path : {kFolder, kFolder + "/", kFolder + "/" + kShardIndexName}) {
    const RawFile raw = read_raw_file(path);
    EXPECT_EQ(raw.format, "safetensors");
    ASSERT_EQ(raw.tensors.size(), 3u);
    float sum = 0.0f;
    for (const NamedTensor& tensor : raw.tensors) {
      EXPECT_EQ(tensor.tensor.values()[0], static_cast<float>(tensor.name[0] - 'a' + 1)) << tensor.name;
      sum += tensor.tensor.values()[0];
    }
    EXPECT_EQ(sum, 6.0f);
    EXPECT_EQ(raw.metadata.at("format"), "pt");
    EXPECT_EQ(raw.notes, std::vector<std::string>{"2 shards from the index's weight_map"});
  }
}

TEST(ShardedSafetensors, NamesMissingShardsAndMisplacedTensors) {
  const TemporaryFolder folder;
  const std::string first = "model-00001-of-00002.safetensors";
  const std::string second = "model-00002-of-00002.safetensors";
  const std::string index = folder / "x.index.json";
  write_text(index, read_text(kFolder + "/" + kShardIndexName));
  const auto refused = [&] { return error_of([&] { read_raw_file(index); }); };
  EXPECT_EQ(refused(),
            "[safetensors] " + index + ": 2 of 2 shards are missing beside it: \"" + first + "\", \"" + second + "\"");
  write_text(folder / first, read_text(kFolder + "/" + first));
  EXPECT_EQ(refused(), "[safetensors] " + index + ": 1 of 2 shards is missing beside it: \"" + second + "\"");
  write_text(folder / second, read_text(kFolder + "/" + first));
  EXPECT_EQ(refused(), "[safetensors] " + folder / second + ": tensor \"a\": the index has it in no or another shard");
  write_text(folder / first, read_text(kFolder + "/" + second));
  EXPECT_EQ(refused(),
            "[safetensors] " + folder / first + ": tensor \"a\": the index has it in this shard, which lacks it");
  write_text(folder / first, "broken");
  EXPECT_EQ(refused(), "[safetensors] " + folder / first + ": expected a header of at least 10 bytes, file has 6");
}

TEST(ShardedSafetensors, ShardsLieInTheSameFolder) {
  for (const std::string shard : {"../m.safetensors", "/m.safetensors", "a/m.safetensors", "a\\\\m.safetensors",
                                  ".safetensors", "m.bin", "", "m\\u0000.safetensors"}) {
    EXPECT_TRUE(refusal("{\"weight_map\":{\"a\":\"" + shard + "\"}}")
                    .starts_with("[safetensors] i.json: weight_map: \"a\": expected the name of a .safetensors file in "
                                 "the same folder, found "))
        << shard;
  }
}

TEST(ShardedSafetensors, RefusesBrokenIndexes) {
  const std::string file = "[safetensors] i.json: ";
  EXPECT_EQ(refusal(""), file + "expected JSON, found an empty file");
  EXPECT_EQ(refusal("weights"), file + "not JSON in UTF-8 at byte 0");
  EXPECT_EQ(refusal("[]"), file + "expected an object, found an array");
  EXPECT_EQ(refusal("7"), file + "expected an object, found a number");
  EXPECT_EQ(refusal("{}"), file + "expected an index with a \"weight_map\", found none");
  EXPECT_EQ(refusal(R"({"weight_map":[]})"), file + "weight_map: expected an object, found an array");
  EXPECT_EQ(refusal(R"({"weight_map":null})"), file + "weight_map: expected an object, found null");
  EXPECT_EQ(refusal(R"({"weight_map":{"a":1}})"), file + "weight_map: \"a\": expected a file's name, found a number");
  EXPECT_EQ(refusal(R"({"weight_map":{"a":{}}})"), file + "weight_map: \"a\": expected a file's name, found an object");
  EXPECT_EQ(refusal(R"({"weight_map":{"a":[]}})"), file + "weight_map: \"a\": expected a file's name, found an array");
  EXPECT_EQ(refusal(R"({"weight_map":{"a":"x.safetensors","a":"y.safetensors"}})"),
            file + "weight_map: the name \"a\" appears twice");
  EXPECT_EQ(refusal(R"({"weight_map":{},"weight_map":{}})"), file + "\"weight_map\" appears twice");
  EXPECT_EQ(refusal(std::string(kMaximalShardIndex + 1, ' ')),
            file + "expected an index of at most 4194304 bytes, file has 4194305");
  EXPECT_EQ(parse_shard_index(Bytes(R"({"weight_map":{},"x":[[{"weight_map":{"a":1}}]]})").span, "i").size(), 0u);
}

TEST(ShardedKeras, AnIndexGivesAGroupToOneShardOrSeveral) {
  const auto parse = [](std::string_view text) {
    const Bytes bytes(text);
    return parse_shard_index(bytes.span, "i.json", ShardKind::kKeras);
  };
  using Pair = std::pair<std::string, std::string>;
  EXPECT_EQ(
      parse(R"({"metadata": {"total_size": 1.0}, "weight_map": {"/b/vars": ["x_00001.weights.h5", "x_00000.weights.h5"],
                      "/a/vars": "x_00001.weights.h5"}})"),
      (std::vector<Pair>{
          {"x_00000.weights.h5", "/b/vars"}, {"x_00001.weights.h5", "/a/vars"}, {"x_00001.weights.h5", "/b/vars"}}));
  const auto refusal = [&](std::string_view text) { return error_of([&] { parse(text); }); };
  EXPECT_EQ(refusal(R"({"weight_map": {"/a/vars": ["../x.h5"]}})"),
            "[keras] i.json: weight_map: \"/a/vars\": expected the name of a .h5 file in the same folder, found "
            "\"../x.h5\"");
  EXPECT_EQ(refusal(R"({"weight_map": {"/a/vars": [["x.h5"]]}})"),
            "[keras] i.json: weight_map: \"/a/vars\": expected a file's name, found an array");
  EXPECT_EQ(refusal(R"({"weight_map": {"/a/vars": [{}]}})"),
            "[keras] i.json: weight_map: \"/a/vars\": expected a file's name, found an object");
  EXPECT_EQ(refusal(R"({"weight_map": {"/a/vars": [3]}})"),
            "[keras] i.json: weight_map: \"/a/vars\": expected a file's name, found a number");
  EXPECT_EQ(refusal(R"({"weight_map": {"/a/vars": ["x.h5", "x.h5"]}})"),
            "[keras] i.json: weight_map: \"/a/vars\" appears twice in \"x.h5\"");
  EXPECT_EQ(refusal("{}"), "[keras] i.json: expected an index with a \"weight_map\", found none");
}

TEST(ShardedSafetensors, DamageIsAnsweredBySentences) {
  const std::string valid = read_text(kFolder + "/" + kShardIndexName);
  int refused = 0;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    Random random(seed);
    std::string text = valid;
    const std::uint32_t place = random.below(static_cast<std::uint32_t>(text.size()));
    switch (random.below(3)) {
      case 0: text[place] = "0123456789{}[]\",:\\"[random.below(18)]; break;
      case 1: text.erase(place, 1 + random.below(40)); break;
      default: text.insert(place, text.substr(random.below(place + 1), 1 + random.below(40))); break;
    }
    try {
      (void)parse_shard_index(Bytes(text).span, "i.json");
    } catch (const Error& error) {
      EXPECT_TRUE(std::string_view(error.what()).starts_with("[safetensors] i.json: ")) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace gcvit::formats
