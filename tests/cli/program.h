// SPDX-License-Identifier: Apache-2.0
// The program as a user calls it, in a folder of its own with a tiny model.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "tests/inference/test_images.h"
#include "tests/weights/test_files.h"

namespace gcvit {

struct Result {
  int code = -1;
  std::string out;
  std::string err;
};

/// 'text' for a shell.
inline std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char letter : text) result += letter == '\'' ? std::string("'\\''") : std::string(1, letter);
  return result + "'";
}

struct Cli : ::testing::Test {
  weights::TemporaryFolder folder;
  std::string model = folder / "m.safetensors";
  int calls = 0;

  Cli() { testing::write_tiny_model(model, testing::colour_names()); }

  /// Runs a shell's command line, "$G" being the program.
  Result shell(const std::string& command) {
    const std::string out = folder / ("out" + std::to_string(calls));
    const std::string err = folder / ("err" + std::to_string(calls++));
    const std::string line = "G=" + quoted(GCVIT_PROGRAM) + "; cd " + quoted(folder / "") + "; { " + command + "; } >" +
                             quoted(out) + " 2>" + quoted(err) + " </dev/null";
    const int status = std::system(line.c_str());
    Result result{WIFEXITED(status) ? WEXITSTATUS(status) : -1, weights::read_text(out), weights::read_text(err)};
    std::filesystem::remove(out);
    std::filesystem::remove(err);
    return result;
  }
  Result gcvit(const std::string& arguments) { return shell("\"$G\" " + arguments); }

  /// One sentence on stderr that holds `part`, nothing on stdout, exit code 1.
  void expect_failure(const std::string& arguments, const std::string& part) {
    const Result result = gcvit(arguments);
    EXPECT_EQ(result.code, 1) << arguments << "\n" << result.err;
    EXPECT_EQ(result.out, "") << arguments;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << arguments << "\n" << result.err;
    EXPECT_TRUE(result.err.starts_with("gcvit: [")) << arguments << "\n" << result.err;
    EXPECT_NE(result.err.find(part), std::string::npos) << arguments << "\n" << result.err;
  }
  void expect_usage_error(const std::string& arguments, const std::string& part) {
    const Result result = gcvit(arguments);
    EXPECT_EQ(result.code, 2) << arguments << "\n" << result.err;
    EXPECT_EQ(result.out, "") << arguments;
    EXPECT_NE(result.err.find(part), std::string::npos) << arguments << "\n" << result.err;
    EXPECT_NE(result.err.find("--help` to see how it is called"), std::string::npos) << arguments << "\n" << result.err;
  }

  std::string image(unsigned seed) {
    const std::string name = "photo" + std::to_string(seed) + ".png";
    weights::write_text(folder / name, testing::blob_png(seed));
    return name;
  }
  std::size_t files_left() { return folder.files(); }
};

}  // namespace gcvit
