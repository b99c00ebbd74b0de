// SPDX-License-Identifier: Apache-2.0
// Names that strangers chose, full of what steers a terminal: shown as what they are, kept in JSON.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "base/printable.h"
#include "tests/cli/program.h"

namespace gcvit {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

/// Escape sequences, a bell, line ends, an override of direction, a control character of ISO 8859, a line separator.
const std::string kForeign = "a\x1b[31m\a\r\n\u202eb\u009b\u2028";
const std::string kShown = "a\\x1b[31m\\x07\\x0d\\x0a\\u202eb\\u009b\\u2028";
/// Of a file: no UTF-8 either.
const std::string kForeignFile = kForeign + "\xff";
const std::string kShownFile = kShown + "\\xff";

struct ForeignText : Cli {
  ForeignText() {
    testing::write_tiny_model(model, {kForeign, "x\x1b]0;title\a", "\u2066y", "green", "blue", "indigo", "violet"});
  }

  static void expect_safe(const Result& result) {
    EXPECT_EQ(printable_lines(result.out), result.out);
    EXPECT_EQ(printable_lines(result.err), result.err);
  }
  /// Runs it; expects the exit code, nothing that isn't printable, and `part` on stdout or stderr.
  Result expect_shown(const std::string& arguments, int code, const std::string& part = kShown) {
    const Result result = gcvit(arguments);
    EXPECT_EQ(result.code, code) << arguments << "\n" << printable_lines(result.err);
    expect_safe(result);
    EXPECT_NE((result.out + result.err).find(part), std::string::npos) << arguments << "\n"
                                                                       << printable_lines(result.out + result.err);
    return result;
  }
  void image_named(const std::string& name, unsigned seed = 1) {
    fs::create_directories(fs::path(folder / name).parent_path());
    weights::write_text(folder / name, testing::blob_png(seed));
  }
};

TEST_F(ForeignText, NamesOfClassesAndImagesStayOnTheirLines) {
  image_named("photos/" + kForeignFile + ".png");
  const Result text = expect_shown("classify -m m.safetensors -k 7 photos", 0);
  EXPECT_TRUE(text.out.starts_with("photos/" + kShownFile + ".png: ")) << text.out;
  EXPECT_EQ(std::count(text.out.begin(), text.out.end(), '\n'), 8) << text.out;

  for (const std::string form : {"--json", "--jsonl"}) {
    const Result result = gcvit("classify -m m.safetensors -k 7 photos " + form);
    expect_safe(result);
    const json all = json::parse(result.out);
    const json& one = form == "--json" ? all["results"][0] : all;
    EXPECT_EQ(one["image"], "photos/" + kForeign + "\ufffd.png");
    std::set<std::string> labels;
    for (const json& prediction : one["predictions"]) labels.insert(prediction["label"].get<std::string>());
    EXPECT_TRUE(labels.contains(kForeign) && labels.contains("\u2066y")) << result.out;
  }
  weights::write_text(folder / ("photos/" + kForeignFile + ".png"), "no photo");
  expect_shown("classify -m m.safetensors photos", 1, kShownFile);
  expect_shown("classify -m m.safetensors photos --json", 1, kShownFile);
}

TEST_F(ForeignText, ReportsAboutAModel) {
  fs::copy(model, folder / (kForeignFile + ".safetensors"));
  const Result text = expect_shown("info -m " + quoted(kForeignFile + ".safetensors"), 0);
  EXPECT_TRUE(text.out.starts_with("model        " + kShownFile + ".safetensors\n")) << text.out;
  EXPECT_NE(text.out.find("classes      7: " + kShown + ", x\\x1b]0;title\\x07, \\u2066y"), std::string::npos);
  expect_shown("info -m " + quoted(kForeignFile), 1, kShownFile);
  expect_shown("bench --batch 1 -t 1 --seconds 0 -m " + quoted(kForeignFile + ".safetensors"), 0);
  expect_shown("convert m.safetensors " + quoted(kForeignFile + ".safetensors"), 0, kShownFile);

  image_named("set/" + kForeign + "/0.png");
  image_named("set/green/0.png");
  expect_shown("eval -m m.safetensors set", 0);
  const Result result = gcvit("eval -m m.safetensors set --json");
  expect_safe(result);
  EXPECT_EQ(json::parse(result.out)["per_class"][0]["label"], kForeign);
}

TEST_F(ForeignText, WhatTheCommandLineHolds) {
  const std::string argument = quoted(kForeignFile);
  expect_shown(argument, 2, kShownFile);
  expect_shown("classify --" + argument + " x", 2, kShownFile);
  expect_shown("classify x --dtype " + argument, 2, kShownFile);
  expect_shown("classify x -k " + argument, 2, kShownFile);
  expect_shown("classify x --preprocess " + argument, 2, kShownFile);
  expect_shown("classify x --image-size " + argument, 2, kShownFile);
  expect_shown("pull " + argument, 2, kShownFile);
  expect_shown("train x --variant xxtiny -o r --freeze " + argument, 2, kShownFile);
}

TEST_F(ForeignText, HeadersOfModelFiles) {
  const auto with_header = [&](const std::string& header) {
    std::string bytes(8, '\0');
    bytes[0] = static_cast<char>(header.size());
    weights::write_text(folder / "h.safetensors", bytes + header);
  };
  with_header("{\"a\xff\x1b\":1}");  // no JSON: the parser's message has the bytes
  EXPECT_EQ(gcvit("info -m h.safetensors").code, 1);
  expect_safe(gcvit("info -m h.safetensors"));
  with_header("{\"a\\u001b\\u202e\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}");
  expect_shown("info -m h.safetensors", 1, "\"a\\x1b\\u202e\"");
  with_header("{\"a\":{\"dtype\":\"\\u001b\\u2028\",\"shape\":[1],\"data_offsets\":[0,4]}}");
  expect_shown("info -m h.safetensors", 1, "\\x1b\\u2028");
}

TEST_F(ForeignText, ATrainingRunAndItsReport) {
  testing::write_tiny_model(model, testing::colour_names());
  for (unsigned i = 0; i < 8; ++i) {
    image_named("set/" + kForeign + "/" + kForeignFile + std::to_string(i) + ".png", i);
    image_named("set/green/" + std::to_string(i) + ".png", 8 + i);
  }
  weights::write_text(folder / ("set/green/" + kForeignFile + ".png"), "no photo");
  const std::string run = "r" + kForeignFile;
  const Result result = expect_shown("train set -m m.safetensors -o " + quoted(run) + " --epochs 1", 0, kShownFile);
  EXPECT_NE(result.err.find(kShownFile + "/report.html shows the run"), std::string::npos) << result.err;
  const std::string page = weights::read_text(folder / (run + "/report.html"));
  EXPECT_EQ(printable_lines(page), page);
  EXPECT_NE(page.find("<bdi>" + kShown + "</bdi>"), std::string::npos);
  EXPECT_EQ(json::parse(weights::read_text(folder / (run + "/config.json")))["classes"][0], kForeign);
}

TEST_F(ForeignText, LabelsOfLists) {
  image_named("0.png");
  weights::write_text(folder / "list.csv", "0.png,\"" + kForeignFile + "\"\n0.png,green\n");
  expect_shown("eval -m m.safetensors list.csv", 1, kShownFile);
  weights::write_text(folder / "list", kForeignFile + "\n");
  expect_safe(gcvit("classify -m m.safetensors @list"));
}

}  // namespace
}  // namespace gcvit
