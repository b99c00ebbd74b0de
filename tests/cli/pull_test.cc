// SPDX-License-Identifier: Apache-2.0
// gcvit pull, and models by their official names.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "digest/sha256.h"
#include "tests/cli/program.h"
#include "tests/cli/terminal.h"
#include "tests/hub/server.h"

namespace gcvit {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

/// A server that answers with the tiny model whatever file is asked for.
struct Pull : Cli {
  hub::Server server{model};
  std::string sha256 = sha256_of_file(model);
  std::uint64_t size = fs::file_size(model);
  std::string cached = folder / "cache/gcvit_1k_xtiny.pth.tar";
  const std::string licence = "gcvit: gcvit_xtiny.nvlabs is published under CC BY-NC-SA 4.0: not for commercial use\n";

  Pull() {
    setenv("GCVIT_CACHE", (folder / "cache").c_str(), 1);
    from("ok");
  }
  ~Pull() override {
    unsetenv("GCVIT_CACHE");
    unsetenv("GCVIT_HUB_URL");
  }
  void from(const std::string& mode) { setenv("GCVIT_HUB_URL", server.url(mode).c_str(), 1); }
};

TEST_F(Pull, BringsAFileThatItsNameThenOpens) {
  expect_failure("classify -m gcvit_xtiny " + image(1), "run `gcvit pull gcvit_xtiny`");
  const Result first = gcvit("pull gcvit_xtiny");
  EXPECT_EQ(first.code, 0);
  EXPECT_EQ(first.err, licence);
  const std::string bytes = fmt::format("{},{:03}", size / 1000, size % 1000);
  EXPECT_EQ(first.out, fmt::format("{}\n  {} bytes, SHA-256 {}\n", cached, bytes, sha256));
  EXPECT_EQ(weights::read_text(cached), weights::read_text(model));
  const Result second = gcvit("pull gcvit_xtiny.nvlabs");
  EXPECT_EQ(second.out, fmt::format("{}\n  {} bytes, SHA-256 {}, was there already\n", cached, bytes, sha256));

  const Result by_name = gcvit("classify -m gcvit_xtiny " + image(1));
  EXPECT_EQ(by_name.code, 0) << by_name.err;
  EXPECT_EQ(by_name.out, gcvit("classify -m m.safetensors " + image(1)).out);
  EXPECT_EQ(gcvit("info -m gcvit_xtiny.nvlabs").code, 0);
  expect_failure("classify -m gcvit_xtiny.keras " + image(1), "run `gcvit pull gcvit_xtiny.keras`");
}

TEST_F(Pull, AFileOfThatNameHereComesFirst) {
  fs::copy(model, folder / "gcvit_xtiny");
  EXPECT_EQ(gcvit("info -m gcvit_xtiny").code, 0);
}

TEST_F(Pull, AFileThatWasChangedIsNotOpened) {
  gcvit("pull gcvit_xtiny");
  weights::write_text(cached, "other");
  expect_failure("classify -m gcvit_xtiny " + image(1), "as it was downloaded, found 5; remove it and pull it again");
  const Result again = gcvit("pull gcvit_xtiny");
  EXPECT_EQ(again.code, 1);
  EXPECT_EQ(again.out, "");
  EXPECT_TRUE(again.err.starts_with(licence + "gcvit: [pull] ")) << again.err;
  const Result list = gcvit("pull --list");
  EXPECT_EQ(list.code, 0);
  EXPECT_NE(list.err.find("remove it and pull it again"), std::string::npos) << list.err;
}

TEST_F(Pull, IntoAFolder) {
  const Result result = gcvit("pull gcvit_xtiny --to some/where --json");
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(json::parse(result.out), (json{{"name", "gcvit_xtiny.nvlabs"},
                                           {"file", "some/where/gcvit_1k_xtiny.pth.tar"},
                                           {"size", size},
                                           {"sha256", sha256},
                                           {"licence", "CC BY-NC-SA 4.0"},
                                           {"downloaded", true}}));
  EXPECT_TRUE(fs::exists(folder / "some/where/gcvit_1k_xtiny.pth.tar"));
  EXPECT_FALSE(fs::exists(folder / "cache"));
  EXPECT_EQ(gcvit("info -m some/where/gcvit_1k_xtiny.pth.tar").code, 0);
}

TEST_F(Pull, ListsWhatThereIs) {
  const Result none = gcvit("pull --list --json");
  EXPECT_EQ(none.err, "");
  const json before = json::parse(none.out);
  EXPECT_EQ(before["licence"], "CC BY-NC-SA 4.0");
  EXPECT_EQ(before["files"].size(), 21u);
  const json& first = before["files"][0];
  EXPECT_EQ(first["name"], "gcvit_xxtiny.keras");
  EXPECT_EQ(first["aliases"], json{"gcvit_xxtiny"});
  EXPECT_EQ(first["path"], (folder / "cache/gcvitxxtiny.keras"));
  EXPECT_EQ(first["size"], 48767519);
  EXPECT_EQ(before["files"][1]["sha256"], "d1d86009");
  EXPECT_EQ(before["files"][1]["aliases"], json::array());
  EXPECT_EQ(before["files"][1]["size"], nullptr);
  gcvit("pull gcvit_xtiny");
  int pulled = 0;
  const json after = json::parse(gcvit("pull --list --json").out);
  for (const json& file : after["files"]) {
    EXPECT_TRUE(file["url"].get<std::string>().starts_with("https://")) << file;
    if (file["file"].is_null()) continue;
    EXPECT_EQ(file["name"], "gcvit_xtiny.nvlabs");
    EXPECT_EQ(file["file"], cached);
    ++pulled;
  }
  EXPECT_EQ(pulled, 1);
  const std::string text = gcvit("pull --list").out;
  EXPECT_NE(text.find("gcvit_xtiny.nvlabs      pulled  https://"), std::string::npos) << text;
  EXPECT_NE(text.find("CC BY-NC-SA 4.0"), std::string::npos) << text;
}

TEST_F(Pull, FailsInASentence) {
  const auto failure = [&](const std::string& name, int lines = 2) {
    const Result result = gcvit("pull " + name);
    EXPECT_EQ(result.code, 1) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), lines) << result.err;  // the licence comes first
    return result.err;
  };
  from("status-404");
  EXPECT_NE(failure("gcvit_xtiny", 4).find("found HTTP 404 (there is no such file)"), std::string::npos);
  from("ok");
  EXPECT_NE(failure("gcvit_xtiny.timm").find("expected SHA-256 274b92b7... (as it is published), found " + sha256),
            std::string::npos);
  EXPECT_NE(failure("gcvit_xxtiny").find("expected a file of 48767519 bytes, found " + std::to_string(size)),
            std::string::npos);
  EXPECT_EQ(gcvit("pull gcvit_xtiny | true").code, 0);
}

TEST_F(Pull, SaysWhatToDoWithoutTheServer) {
  from("status-404");
  const Result result = gcvit("pull gcvit_xtiny");
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("put it at " + cached + ", and run the same command again"), std::string::npos)
      << result.err;
  EXPECT_NE(result.err.find("set GCVIT_HUB_URL to the address of a folder that has gcvit_1k_xtiny.pth.tar"),
            std::string::npos);
  EXPECT_NE(gcvit("pull gcvit_xtiny --to here").err.find("put it at here/gcvit_1k_xtiny.pth.tar, "), std::string::npos);

  fs::create_directories(folder / "cache");
  fs::copy(model, cached);
  expect_failure("classify -m gcvit_xtiny " + image(1), "run `gcvit pull gcvit_xtiny`");
  const Result again = gcvit("pull gcvit_xtiny");
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_NE(again.err.find("was put there by hand"), std::string::npos) << again.err;
  EXPECT_NE(again.out.find("was there already"), std::string::npos) << again.out;
  EXPECT_EQ(gcvit("classify -m gcvit_xtiny " + image(1)).code, 0);
}

TEST_F(Pull, CalledWrongly) {
  expect_usage_error("pull", "expected an official weight file or --list");
  expect_usage_error("pull gcvit_huge", "found gcvit_huge");
  expect_usage_error("pull gcvit_xtiny --list", "excludes");
  expect_usage_error("pull --list --to x", "excludes");
}

TEST_F(Pull, ShowsABarOnATerminalOnly) {
  EXPECT_EQ(gcvit("pull gcvit_xtiny --to here").err, licence);
  testing::Terminal terminal;
  if (!terminal.missing().empty()) GTEST_SKIP() << terminal.missing();  // cli.Bar.* has what would be drawn
  terminal.start("cd " + quoted(folder / "") + "; exec " + quoted(GCVIT_PROGRAM) + " pull gcvit_xtiny --to there");
  const std::string text = terminal.read_all();
  EXPECT_EQ(terminal.wait(), 0) << text;
  EXPECT_NE(text.find(" MB ["), std::string::npos) << text;
  EXPECT_EQ(text.find("photos"), std::string::npos) << text;
}

}  // namespace
}  // namespace gcvit
