// SPDX-License-Identifier: Apache-2.0
// The forms in which classify answers, and photos sorted into folders.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cli/keys.h"
#include "tests/cli/program.h"
#include "tests/cli/terminal.h"

namespace gcvit {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using weights::read_text;
using weights::write_text;

struct ClassifyOutput : Cli {
  /// The answer about a photo, as --jsonl has it.
  json answer(const std::string& photo, const std::string& flags = "") {
    return json::parse(gcvit("classify -m m.safetensors --jsonl " + flags + " " + photo).out);
  }
  static std::string best_of(const json& answer) { return answer["predictions"][0]["label"]; }
  static std::string percent_of(const json& answer, std::size_t place = 0) {
    return fmt::format("{:.2f} %", 100.0 * answer["predictions"][place]["probability"].get<double>());
  }
  /// The paths of all files below a folder, sorted.
  std::vector<std::string> files_in(const std::string& name) {
    std::vector<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(folder / name)) {
      if (!entry.is_directory()) found.push_back(entry.path().lexically_relative(folder / name).string());
    }
    std::ranges::sort(found);
    return found;
  }
};

TEST_F(ClassifyOutput, JsonAlwaysHasTheVerdict) {
  image(1);
  const json one = answer("photo1.png");
  EXPECT_EQ(keys_of(one), (Keys{"image", "label", "predictions"}));
  EXPECT_EQ(one["label"], best_of(one));
}

TEST_F(ClassifyOutput, CsvHasARowAPhotoAndItsError) {
  image(1);
  write_text(folder / "a \"cut\", photo.png", "no photo");
  const json one = answer("photo1.png");
  const Result result = gcvit("classify -m m.safetensors --csv photo1.png 'a \"cut\", photo.png'");
  EXPECT_EQ(result.code, 1);
  const std::string row =
      fmt::format("photo1.png,{},{},{},\n", best_of(one), one["predictions"][0]["probability"].get<float>(),
                  one["predictions"][0]["index"].get<int>());
  EXPECT_TRUE(result.out.starts_with("image,label,probability,index,error\n" + row +
                                     "\"a \"\"cut\"\", photo.png\",,,,\"[image] a \"\"cut\"\", photo.png: "))
      << result.out;
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 3) << result.out;
  const Result unsure = gcvit("classify -m m.safetensors --csv --threshold 1 photo1.png");
  EXPECT_NE(unsure.out.find("photo1.png,unsure,0."), std::string::npos) << unsure.out;
  expect_usage_error("classify a.jpg --json --csv", "excludes");
  expect_usage_error("classify a.jpg --oneline --jsonl", "excludes");
}

TEST_F(ClassifyOutput, OneLineAPhotoByRequestAndForMany) {
  image(1);
  const json one = answer("photo1.png");
  const std::string line = fmt::format("photo1.png: {} {}", best_of(one), percent_of(one));
  EXPECT_EQ(gcvit("classify -m m.safetensors --oneline photo1.png").out, line + "\n");
  EXPECT_EQ(gcvit("classify -m m.safetensors --oneline -k 2 photo1.png").out,
            fmt::format("{}, {} {}\n", line, one["predictions"][1]["label"].get<std::string>(), percent_of(one, 1)));
  EXPECT_EQ(gcvit("classify -m m.safetensors --oneline --threshold 1 photo1.png").out,
            fmt::format("photo1.png: unsure ({} {})\n", best_of(one), percent_of(one)));
  std::string many;
  for (int i = 0; i < 9; ++i) many += " photo1.png";
  const auto lines = [&](const std::string& arguments) {
    const std::string out = gcvit("classify -m m.safetensors -k 1 " + arguments).out;
    return std::count(out.begin(), out.end(), '\n');
  };
  EXPECT_EQ(lines(many), 18);
  EXPECT_EQ(lines(many + " photo1.png"), 10);
  EXPECT_EQ(lines("--blocks photo1.png" + many), 20);
}

TEST_F(ClassifyOutput, ColourIsForTerminalsThatWantIt) {
  image(1);
  const std::string label = best_of(answer("photo1.png"));
  const std::string call = " \"$G\" classify -m m.safetensors -k 1 photo1.png";
  const auto first_line = [&](const std::string& variables) {
    const std::string out = shell("export " + variables + ";" + call).out;
    return out.substr(0, out.find('\n'));
  };
  EXPECT_EQ(first_line("TERM=xterm"), "photo1.png: " + label);
  EXPECT_EQ(first_line("CLICOLOR_FORCE=1"), "photo1.png: \033[32m" + label + "\033[0m");
  EXPECT_EQ(first_line("CLICOLOR_FORCE=1 NO_COLOR=1"), "photo1.png: " + label);
}

TEST_F(ClassifyOutput, NoBarIsDrawnBetweenLinesOnATerminal) {
  for (unsigned i = 0; i < 12; ++i) image(i);
  const auto seen = [&](const std::string& arguments) {
    testing::Terminal terminal;
    if (!terminal.missing().empty()) return terminal.missing();
    terminal.start("cd " + quoted(folder / "") + "; unset NO_COLOR CLICOLOR_FORCE; export TERM=xterm; exec " +
                   quoted(GCVIT_PROGRAM) + " classify -m m.safetensors --batch 1 *.png " + arguments);
    const std::string text = terminal.read_all();
    EXPECT_EQ(terminal.wait(), 0) << text;
    return text;
  };
  const std::string text = seen("");
  if (text.starts_with("no pseudo-terminal")) GTEST_SKIP() << text;
  EXPECT_EQ(text.find("\r\033[K"), std::string::npos) << text;
  EXPECT_EQ(text.find("ETA"), std::string::npos) << text;
  EXPECT_NE(text.find("photo0.png: \033[32m"), std::string::npos) << text;
  // Where the results go elsewhere the bar stays.
  EXPECT_NE(seen("--json >answers").find("/12 ["), std::string::npos);
}

TEST_F(ClassifyOutput, PhotosAreSortedIntoTheirClasses) {
  image(1);
  image(2);
  write_text(folder / "broken.png", "no photo");
  ASSERT_EQ(chmod((folder / "photo1.png").c_str(), 0600), 0);
  fs::last_write_time(folder / "photo1.png", fs::file_time_type::clock::now() - std::chrono::hours(100));
  const std::string first = best_of(answer("photo1.png")) + "/photo1.png";
  const std::string second = best_of(answer("photo2.png")) + "/photo2.png";
  std::vector<std::string> both = {first, second};
  std::ranges::sort(both);
  const Result result = gcvit("classify -m m.safetensors photo1.png broken.png photo2.png --sort-into a/sorted");
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("gcvit: [sort] a/sorted: 2 photos copied to "), std::string::npos) << result.err;
  EXPECT_EQ(files_in("a/sorted"), both);
  EXPECT_EQ(read_text(folder / ("a/sorted/" + first)), read_text(folder / "photo1.png"));
  EXPECT_FALSE(fs::is_symlink(folder / ("a/sorted/" + first)));
  EXPECT_EQ(fs::hard_link_count(folder / ("a/sorted/" + first)), 1u);
  EXPECT_EQ(fs::last_write_time(folder / ("a/sorted/" + first)), fs::last_write_time(folder / "photo1.png"));
  // Again, and what is sorted itself: nothing changes.
  EXPECT_EQ(gcvit("classify -m m.safetensors photo1.png a/sorted --sort-into a/sorted").code, 0);
  EXPECT_EQ(files_in("a/sorted"), both);

  EXPECT_EQ(gcvit("classify -m m.safetensors photo1.png --threshold 1 --sort-into b --sort-mode symlink").code, 0);
  EXPECT_EQ(files_in("b"), std::vector<std::string>{"unsure/photo1.png"});
  EXPECT_EQ(fs::read_symlink(folder / "b/unsure/photo1.png"), fs::canonical(folder / "photo1.png"));
  EXPECT_EQ(gcvit("classify -m m.safetensors photo1.png --sort-into c --sort-mode hardlink").code, 0);
  EXPECT_TRUE(fs::equivalent(folder / ("c/" + first), folder / "photo1.png"));
  EXPECT_EQ(fs::hard_link_count(folder / "photo1.png"), 2u);
}

TEST_F(ClassifyOutput, SortingOverwritesNothing) {
  image(1);
  const std::string label = best_of(answer("photo1.png"));
  for (const char* const place : {"x", "y"}) fs::create_directories(folder / place);
  fs::copy(folder / "photo1.png", folder / "x/photo1.png");
  fs::create_directories(folder / ("sorted/" + label));
  write_text(folder / ("sorted/" + label + "/photo1.png"), "older");
  fs::create_symlink("nowhere", folder / ("sorted/" + label + "/photo1-2.png"));
  for (const std::string mode : {"copy", "symlink", "hardlink"}) {
    const Result result = gcvit("classify -m m.safetensors photo1.png x --sort-into sorted --sort-mode " + mode);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(read_text(folder / ("sorted/" + label + "/photo1.png")), "older");
    EXPECT_EQ(fs::read_symlink(folder / ("sorted/" + label + "/photo1-2.png")), "nowhere");
    EXPECT_EQ(files_in("sorted"), (std::vector<std::string>{label + "/photo1-2.png", label + "/photo1-3.png",
                                                            label + "/photo1-4.png", label + "/photo1.png"}))
        << mode;
    for (const char* const name : {"photo1-3.png", "photo1-4.png"}) {
      EXPECT_EQ(read_text(folder / ("sorted/" + label + "/" + name)), read_text(folder / "photo1.png"));
      fs::remove(folder / ("sorted/" + label + "/" + name));
    }
  }
}

TEST_F(ClassifyOutput, SortingNeedsAFolderAndFiles) {
  image(1);
  write_text(folder / "file", "");
  expect_failure("classify -m m.safetensors photo1.png --sort-into file",
                 "[sort] file: expected a folder, found a file");
  expect_failure("classify -m m.safetensors photo1.png --sort-into file/sorted", "[sort] file/sorted");
  expect_usage_error("classify -m m.safetensors - --sort-into sorted < photo1.png",
                     "--sort-into: expected photos in files, found \"-\"");
  expect_usage_error("classify photo1.png --sort-into sorted --sort-mode move", "move");
  expect_usage_error("classify photo1.png --sort-mode copy", "--sort-into");
  EXPECT_FALSE(fs::exists(folder / "sorted"));
}

TEST_F(ClassifyOutput, ACopyThatDoesntFitLeavesNothing) {
  image(1);
  write_text(folder / "photo1.png", read_text(folder / "photo1.png") + std::string(4096, '\0'));
  const Result result =
      shell("trap '' XFSZ; ulimit -f 1; \"$G\" classify -m m.safetensors photo1.png --sort-into sorted");
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("can't be written: File too large"), std::string::npos) << result.err;
  EXPECT_TRUE(files_in("sorted").empty());
}

TEST_F(ClassifyOutput, ClassNamesBecomeNamesOfFolders) {
  testing::write_tiny_model(folder / "named.safetensors", {"../up", "a/b", ".hidden", "", "unsure", "same", "same"});
  image(1);
  ASSERT_EQ(gcvit("classify -m named.safetensors --sort-into sorted photo1.png").code, 0);
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(folder / "sorted")) found.push_back(entry.path().filename());
  const std::vector<std::string> allowed = {"_._up", "a_b", "_hidden", "_", "unsure-4", "same-5", "same-6"};
  ASSERT_EQ(found.size(), 1u);
  EXPECT_TRUE(std::ranges::find(allowed, found[0]) != allowed.end()) << found[0];
  EXPECT_FALSE(fs::exists(folder / "up"));
}

}  // namespace
}  // namespace gcvit
