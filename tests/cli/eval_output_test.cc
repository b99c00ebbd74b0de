// SPDX-License-Identifier: Apache-2.0
// The files that eval writes beside its result.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/cli/keys.h"
#include "tests/cli/program.h"
#include "tests/report/markup.h"

namespace gcvit {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using weights::read_text;
using weights::write_text;

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

struct EvalOutput : Cli {
  EvalOutput() {
    for (unsigned i = 0; i < 6; ++i) {
      const std::string place = i < 3 ? "data/red" : "data/Dark_Orange";
      fs::create_directories(folder / place);
      write_text(folder / (place + "/" + std::to_string(i) + ".png"), testing::blob_png(i));
    }
  }
  std::vector<std::string> lines_of(const std::string& file) {
    std::vector<std::string> lines;
    std::istringstream stream(read_text(folder / file));
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
  }
};

TEST_F(EvalOutput, PredictionsAreTheAnswersOfClassify) {
  write_text(folder / "data/red/cut,off.png", "no photo");
  const Result result = gcvit("eval -m m.safetensors data --json --predictions p.csv");
  EXPECT_EQ(result.code, 1);  // a photo was skipped
  const json metrics = json::parse(result.out);
  EXPECT_EQ(metrics["count"], 6);
  ASSERT_EQ(gcvit("eval -m m.safetensors data --predictions p.jsonl --batch 2 -t 1").code, 1);
  const std::vector<std::string> rows = lines_of("p.csv");
  const std::vector<std::string> objects = lines_of("p.jsonl");
  ASSERT_EQ(rows.size(), 7u);
  ASSERT_EQ(objects.size(), 6u);
  EXPECT_EQ(rows[0], "image,label,predicted,probability,correct");
  int correct = 0;
  for (std::size_t i = 0; i < 6; ++i) {
    const json one = json::parse(objects[i]);
    EXPECT_EQ(keys_of(one), (Keys{"correct", "image", "label", "predicted", "probability"}));
    const std::string name = one["image"];
    EXPECT_EQ(one["label"], name.substr(0, name.find('/')));
    const json answer = json::parse(gcvit("classify -m m.safetensors --jsonl data/" + name).out)["predictions"][0];
    EXPECT_EQ(one["predicted"], answer["label"]);
    EXPECT_EQ(one["probability"], answer["probability"]);
    EXPECT_EQ(one["correct"], one["label"] == one["predicted"]);
    correct += one["correct"].get<bool>();
    EXPECT_EQ(rows[i + 1],
              fmt::format("{},{},{},{},{}", name, one["label"].get<std::string>(), one["predicted"].get<std::string>(),
                          one["probability"].get<float>(), one["correct"].get<bool>()));
  }
  EXPECT_NEAR(metrics["top1"].get<double>(), correct / 6.0, 1e-12);
}

TEST_F(EvalOutput, FilesAreWholeOrNotThere) {
  expect_usage_error("eval -m m.safetensors data --predictions p.txt",
                     "--predictions: expected a file whose name ends in .csv or .jsonl, found p.txt");
  expect_usage_error("eval -m m.safetensors data --report r.pdf",
                     "--report: expected a file whose name ends in .html, found r.pdf");
  for (const std::string file : {"--predictions nowhere/p.csv", "--report nowhere/r.html"}) {
    const Result result = gcvit("eval -m m.safetensors data " + file);
    EXPECT_EQ(result.code, 1);
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find("gcvit: [file] nowhere/"), std::string::npos) << result.err;
  }
  write_text(folder / "p.csv", "older");
  write_text(folder / "r.html", "older");
  const Result full = shell(
      "trap '' XFSZ; ulimit -f 0; \"$G\" eval -m m.safetensors data --predictions p.csv --report r.html 2>/dev/null");
  EXPECT_EQ(full.code, 1);
  EXPECT_EQ(read_text(folder / "p.csv"), "older");
  EXPECT_EQ(read_text(folder / "r.html"), "older");
}

TEST_F(EvalOutput, TheReportShowsMetricsAndMistakes) {
  const json metrics = json::parse(gcvit("eval -m m.safetensors data --json --report r.html").out);
  const std::string page = read_text(folder / "r.html");
  EXPECT_EQ(testing::complaint_about_markup(page), "");
  EXPECT_NE(page.find("m.safetensors on data</title>"), std::string::npos);
  EXPECT_NE(page.find(fmt::format("<b>{:.1f} %</b><span>accuracy, ", 100.0 * metrics["top1"].get<double>())),
            std::string::npos);
  EXPECT_NE(page.find(fmt::format("<b>{:.4f}</b><span>calibration error", metrics["ece"].get<double>())),
            std::string::npos);
  const int wrong = 6 - static_cast<int>(6.0 * metrics["top1"].get<double>() + 0.5);
  ASSERT_GT(wrong, 0);
  EXPECT_NE(page.find("<h2>The surest mistakes</h2>"), std::string::npos);
  EXPECT_NE(page.find("<h2>What it confuses most</h2>"), std::string::npos);
  const std::size_t figures = count_of(page, "<figure class=\"wrong\"><img");
  EXPECT_EQ(figures, static_cast<std::size_t>(2 * wrong));  // as mistakes and among the samples
  EXPECT_EQ(count_of(page, "<img alt=\"Grad-CAM\""), static_cast<std::size_t>(wrong));  // beside the mistakes alone
  EXPECT_NE(page.find("<code>gcvit eval data -m m.safetensors --predictions answers.csv</code>"), std::string::npos);
}

TEST_F(EvalOutput, GradCamBesideTheMistakesIsSmallAndCanBeLeftOut) {
  ASSERT_EQ(gcvit("eval -m m.safetensors data --report with.html").code, 0);
  ASSERT_EQ(gcvit("eval -m m.safetensors data --report without.html --no-explain").code, 0);
  const std::string with = read_text(folder / "with.html");
  const std::string without = read_text(folder / "without.html");
  EXPECT_EQ(testing::complaint_about_markup(without), "");
  EXPECT_EQ(without.find("Grad-CAM"), std::string::npos);
  const std::size_t maps = count_of(with, "<img alt=\"Grad-CAM\"");
  ASSERT_GT(maps, 0u);
  EXPECT_LT(with.size(), without.size() + maps * 40'000 + 1'000);
  expect_usage_error("eval -m m.safetensors data --no-explain", "--no-explain requires --report");
}

TEST_F(EvalOutput, OnlyTheMistakesThatAreShownAreExplained) {
  for (unsigned i = 6; i < 40; ++i) {  // a photo of each label: at least one of the two is wrong
    for (const std::string place : {"data/red", "data/Dark_Orange"}) {
      write_text(folder / (place + "/" + std::to_string(i) + ".png"), testing::blob_png(i));
    }
  }
  ASSERT_EQ(gcvit("eval -m m.safetensors data --report r.html").code, 0);
  EXPECT_EQ(count_of(read_text(folder / "r.html"), "<img alt=\"Grad-CAM\""), 24u);
}

}  // namespace
}  // namespace gcvit
