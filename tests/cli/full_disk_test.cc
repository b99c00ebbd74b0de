// SPDX-License-Identifier: Apache-2.0
// The program's files at a limit of their size, which fails writes as a full disk does, and what stays of older files.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/cli/program.h"

namespace gcvit {
namespace {

using weights::read_text;
using weights::write_text;

/// Each writes the file that stands for $OUT.
const std::map<std::string, std::string> kWriters = {{"x.safetensors", "convert nvlabs.safetensors $OUT"},
                                                     {"x.pth", "convert nvlabs.safetensors $OUT"},
                                                     {"x.weights.h5", "convert nvlabs.safetensors $OUT"},
                                                     {"x.onnx", "export -m m.safetensors $OUT"},
                                                     {"x.npy", "preprocess -m m.safetensors photo1.png -o $OUT"},
                                                     {"x.npz", "forward -m m.safetensors photo.npy -o $OUT"}};

class FullDisk : public Cli {
 protected:
  FullDisk() {
    image(1);
    // A model that every format takes.
    std::filesystem::copy_file(std::string(GCVIT_TEST_DATA) + "/parity/nvlabs.safetensors",
                               folder / "nvlabs.safetensors");
    EXPECT_EQ(gcvit("preprocess -m m.safetensors photo1.png -o photo.npy").code, 0);
  }
  /// With no file larger than so many bytes, rounded down to a shell's blocks.
  Result limited(std::uintmax_t bytes, const std::string& output, const std::string& arguments) {
    return shell("OUT=" + quoted(output) + "; trap '' XFSZ; ulimit -f " + std::to_string(bytes / 512) + "; \"$G\" " +
                 arguments);
  }
  std::set<std::string> names() {
    std::set<std::string> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / "")) {
      found.insert(entry.path().filename().string());
    }
    return found;
  }
};

TEST_F(FullDisk, EveryWriterSaysSoAndLeavesNothing) {
  const std::set<std::string> before = names();
  for (const auto& [output, arguments] : kWriters) {
    ASSERT_EQ(shell("OUT=" + output + "; \"$G\" " + arguments).code, 0) << output;
    const std::uintmax_t size = std::filesystem::file_size(folder / output);
    std::filesystem::remove(folder / output);
    // From 512 bytes on, so that the sentence fits.
    for (const std::uintmax_t limit : {std::uintmax_t{512}, size / 4, size / 2, size - 512}) {
      const Result result = limited(limit, output, arguments);
      EXPECT_EQ(result.code, 1) << output << " " << limit;
      EXPECT_EQ(result.err, "gcvit: [file] " + output + ": can't be written: File too large\n") << limit;
      EXPECT_EQ(names(), before) << output << " " << limit;
    }
  }
}

TEST_F(FullDisk, AnOlderFileStaysAsItWas) {
  for (const auto& [output, arguments] : kWriters) {
    write_text(folder / output, "older");
    const Result result = limited(1024, output, arguments);
    EXPECT_EQ(result.code, 1) << output;
    EXPECT_EQ(read_text(folder / output), "older") << output;
  }
}

TEST_F(FullDisk, EveryWriterKeepsLinksAndPermissions) {
  std::filesystem::create_directory(folder / "far");
  for (const auto& [output, arguments] : kWriters) {
    const std::string target = folder / ("far/" + output);
    write_text(target, "older");
    ASSERT_EQ(::chmod(target.c_str(), 0600), 0);
    std::filesystem::create_symlink("far/" + output, folder / output);
    EXPECT_EQ(shell("OUT=" + output + "; \"$G\" " + arguments).code, 0) << output;
    EXPECT_TRUE(std::filesystem::is_symlink(folder / output)) << output;
    EXPECT_EQ(std::filesystem::status(target).permissions(), std::filesystem::perms(0600)) << output;
    EXPECT_GT(std::filesystem::file_size(target), 100u) << output;
  }
}

TEST_F(FullDisk, ATrainingRunSaysSoAndLeavesNothingHalfWritten) {
  for (int i = 0; i < 8; ++i) {
    const std::string name = image(static_cast<unsigned>(i));
    const std::string side = folder / (i % 2 == 0 ? "photos/one" : "photos/two");
    std::filesystem::create_directories(side);
    std::filesystem::rename(folder / name, side + "/" + name);
  }
  const std::string arguments = "train photos -m m.safetensors --linear-probe --epochs 1 -o ";
  const Result whole = gcvit(arguments + "whole");
  ASSERT_EQ(whole.code, 0) << whole.err;
  int failures = 0;
  for (const std::uintmax_t limit : {1024, 4096, 16384, 40960, 65536, 131072, 1048576}) {
    const Result result = limited(limit, "", arguments + "run" + std::to_string(limit));
    failures += result.code;
    if (result.code != 0) {
      EXPECT_NE(result.err.find("can't be written: File too large"), std::string::npos) << limit;
    }
    EXPECT_TRUE(result.code == 0 || result.code == 1) << result.code;
    for (const std::string& name : names()) EXPECT_FALSE(name.ends_with(".part")) << name;
  }
  EXPECT_GE(failures, 3);
}

}  // namespace
}  // namespace gcvit
