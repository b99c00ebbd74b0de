// SPDX-License-Identifier: Apache-2.0
// gcvit eval as a user calls it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "tests/cli/keys.h"
#include "tests/cli/program.h"

namespace gcvit {
namespace {

using nlohmann::json;
using weights::read_text;
using weights::write_text;

TEST_F(Cli, EvalCountsAndListsRestrict) {
  // The model's own verdicts are the labels, but for one photo.
  std::vector<int> said(7);
  for (unsigned i = 0; i < 6; ++i) {
    image(i);
    const std::string name = "photo" + std::to_string(i) + ".png";
    const json result = json::parse(gcvit("classify -m m.safetensors --json -k 1 " + name).out);
    int label = result["results"][0]["predictions"][0]["index"];
    if (i == 0) label = (label + 1) % 7;
    ++said[static_cast<std::size_t>(label)];
    const std::string place = "data/" + testing::colour_names()[static_cast<std::size_t>(label)];
    std::filesystem::create_directories(folder / place);
    std::filesystem::rename(folder / name, folder / (place + "/" + name));
    if (i < 3) write_text(folder / "list.txt", read_text(folder / "list.txt") + place.substr(5) + "/" + name + "\n");
  }
  const Result result = gcvit("eval -m m.safetensors data --json");
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(result.err.starts_with("gcvit: [data] data: class folders: 6 photos of ")) << result.err;
  const json object = json::parse(result.out);
  EXPECT_EQ(keys_of(object), (Keys{"confusion", "count", "ece", "loss", "per_class", "skipped", "top1", "top5"}));
  EXPECT_EQ(object["count"], 6);
  EXPECT_EQ(object["skipped"], 0);
  EXPECT_NEAR(object["top1"].get<double>(), 5.0 / 6.0, 1e-12);
  ASSERT_EQ(object["per_class"].size(), 7u);
  ASSERT_EQ(object["confusion"].size(), 7u);
  int diagonal = 0;
  for (std::size_t i = 0; i < 7; ++i) {
    EXPECT_EQ(keys_of(object["per_class"][i]), (Keys{"correct", "count", "label"}));
    EXPECT_EQ(object["per_class"][i]["count"], said[i]);
    diagonal += object["confusion"][i][i].get<int>();
  }
  EXPECT_EQ(diagonal, 5);
  const json listed = json::parse(gcvit("eval -m m.safetensors data --json --list list.txt -t 1 --batch 2").out);
  EXPECT_EQ(listed["count"], 3);
  EXPECT_NEAR(listed["top1"].get<double>(), 2.0 / 3.0, 1e-12);
  const Result text = gcvit("eval -m m.safetensors data");
  EXPECT_NE(text.out.find("83.33 %  (5 of 6)"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("confusion"), std::string::npos);
}

TEST_F(Cli, EvalRefusesFoldersThatHoldNoClasses) {
  std::filesystem::create_directories(folder / "empty");
  std::filesystem::create_directories(folder / "strange/red");
  std::filesystem::create_directories(folder / "strange/mauve");
  expect_failure("eval -m m.safetensors none", "none: expected a folder, found nothing");
  expect_failure("eval -m m.safetensors m.safetensors", "m.safetensors: expected a folder, a list");
  expect_failure("eval -m m.safetensors empty", "a folder for each class");
  expect_failure("eval -m m.safetensors strange", "strange: expected photos");
}

TEST_F(Cli, EvalMatchesClassesByNameOrNumberAndElseOnlyWhenAsked) {
  const auto put = [&](const std::string& place) {
    std::filesystem::create_directories((folder / place).substr(0, (folder / place).rfind('/')));
    write_text(folder / place, testing::blob_png(1));
  };
  const auto counts = [&](const std::string& arguments) {
    const Result result = gcvit("eval -m m.safetensors --json " + arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    std::vector<int> found;
    const json object = json::parse(result.out, nullptr, false);
    if (object.is_object()) {
      for (const json& one : object["per_class"]) found.push_back(one["count"]);
    }
    return found;
  };
  for (const char* const place : {"gap/0/a.png", "gap/2/a.png", "gap/2/b.png", "gap/4/a.png"}) put(place);
  EXPECT_EQ(counts("gap"), (std::vector{1, 0, 2, 0, 1, 0, 0}));
  for (int i = 1; i <= 7; ++i) put(fmt::format("from_one/{}/a.png", i));
  expect_failure("eval -m m.safetensors from_one", "from_one: ");
  EXPECT_EQ(counts("from_one --by-index"), (std::vector{1, 1, 1, 1, 1, 1, 1}));
  for (const char* const place : {"named/apple/a.png", "named/pear/a.png"}) put(place);
  expect_failure("eval -m m.safetensors named", "named: ");
  EXPECT_EQ(counts("named --by-index"), (std::vector{1, 1, 0, 0, 0, 0, 0}));

  for (const char* const place :
       {"sides/Train/0/a.png", "sides/val/0/a.png", "sides/val/1/a.png", "sides/test/3/a.png"}) {
    put(place);
  }
  EXPECT_EQ(counts("sides"), (std::vector{1, 1, 0, 0, 0, 0, 0}));
  EXPECT_EQ(counts("sides --side test"), (std::vector{0, 0, 0, 1, 0, 0, 0}));
  EXPECT_EQ(counts("sides --side train"), (std::vector{1, 0, 0, 0, 0, 0, 0}));
  // A list says itself which photos are meant.
  write_text(folder / "list.txt", "Train/0/a.png\nval/1/a.png\n");
  EXPECT_EQ(counts("sides --list list.txt"), (std::vector{1, 1, 0, 0, 0, 0, 0}));
  const Result said = gcvit("eval -m m.safetensors sides");
  EXPECT_NE(said.err.find("Train (train): 1 photo, left out; "), std::string::npos) << said.err;
  EXPECT_NE(said.err.find("test: 1 photo, left out"), std::string::npos) << said.err;
}
}  // namespace
}  // namespace gcvit
