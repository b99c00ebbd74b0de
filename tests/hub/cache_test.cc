// SPDX-License-Identifier: Apache-2.0
#include "hub/cache.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <system_error>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <thread>

#include "hub/pull.h"
#include "hub/record.h"
#include "digest/sha256.h"
#include "tests/hub/server.h"
#include "tests/testing/error_of.h"
#include "tests/weights/test_files.h"

namespace gcvit::hub {
namespace {

using testing::error_of;
using weights::read_text;
using weights::write_text;
namespace fs = std::filesystem;

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

struct Cache : ::testing::Test {
  weights::TemporaryFolder top;
  std::string cache = top / "cache";
  std::string path = cache + "/f";
  std::string body = sample_bytes(300'000);
  std::string sha256;
  std::unique_ptr<Server> server;
  OfficialFile file{"gcvit_test.keras", "https://nowhere.invalid/f", "f", 0, ""};

  Cache() {
    setenv("GCVIT_CACHE", cache.c_str(), 1);
    serve(body);
    sha256 = sha256_of_file(top / "body");
    from("ok");
  }
  ~Cache() override {
    unsetenv("GCVIT_CACHE");
    unsetenv("GCVIT_HUB_URL");
  }

  void serve(const std::string& text) {
    write_text(top / "body", text);
    server = std::make_unique<Server>(top / "body");
  }
  void from(const std::string& mode) { setenv("GCVIT_HUB_URL", server->url(mode).c_str(), 1); }

  Pulled pull() { return hub::pull(file, cache, {}, {.tries = 1}); }
  std::string refusal() {
    return error_of([&] { pull(); });
  }
  std::size_t requests(const std::string& mode) {
    const std::string log = top / "log";
    Source source{.url = server->url("requests")};
    PartFile part(log, nullptr);
    download(source, part, {}, {});
    part.publish();
    const std::string text = read_text(log);
    std::size_t count = 0;
    for (std::size_t at = 0; (at = text.find("/" + mode + "/", at)) != std::string::npos; ++at) ++count;
    return count;
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(cache)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  void expect_whole() {
    EXPECT_EQ(read_text(path), body);
    EXPECT_EQ(files(), (std::vector<std::string>{"f", "f.json"}));
    EXPECT_EQ(find_in_cache(file), path);
  }

  /// A process of its own that pulls; its exit code is 0 when it downloaded, 1 when the file was there, 2 on an error.
  pid_t pull_beside() {
    const pid_t process = fork();
    if (process != 0) return process;
    try {
      _exit(pull().downloaded ? 0 : 1);
    } catch (...) {
      _exit(2);
    }
  }
};

TEST_F(Cache, PullsOnceAndRecords) {
  EXPECT_EQ(find_in_cache(file), std::nullopt);
  EXPECT_FALSE(fs::exists(cache));
  const Pulled first = pull();
  EXPECT_EQ(first.path, path);
  EXPECT_EQ(first.size, body.size());
  EXPECT_EQ(first.sha256, sha256);
  EXPECT_TRUE(first.downloaded);
  expect_whole();
  const Record record = *read_record(path);
  EXPECT_EQ(record.name, "gcvit_test.keras");
  EXPECT_EQ(record.url, server->url("ok/f"));
  EXPECT_EQ(record.sha256, sha256);

  const Pulled second = pull();
  EXPECT_FALSE(second.downloaded);
  EXPECT_EQ(second.sha256, sha256);
  EXPECT_EQ(requests("ok"), 1u);
}

TEST_F(Cache, WhatIsPublishedIsHeldAgainstTheFile) {
  file.sha256 = "00000000";
  EXPECT_TRUE(has(refusal(), "expected SHA-256 00000000... (as it is published), found " + sha256));
  EXPECT_EQ(files().size(), 0u);
  file.sha256 = sha256.substr(0, 8);
  file.size = 5;
  EXPECT_TRUE(has(refusal(), "expected a file of 5 bytes, found 300000"));
  EXPECT_EQ(files().size(), 0u);
  file.size = body.size();
  EXPECT_TRUE(pull().downloaded);
}

TEST_F(Cache, WhatComesLaterMustBeTheSameAsAtFirst) {
  pull();
  fs::remove(path);
  EXPECT_EQ(find_in_cache(file), std::nullopt);
  EXPECT_TRUE(pull().downloaded);
  expect_whole();

  fs::remove(path);
  std::string other = body;
  other[1000] ^= 1;
  serve(other);
  from("ok");
  const std::string sentence = refusal();
  EXPECT_TRUE(has(sentence, fmt::format("expected SHA-256 {} (as it was downloaded first, says {}.json), found {}",
                                        sha256, path, sha256_of_file(top / "body"))))
      << sentence;
  EXPECT_EQ(files(), std::vector<std::string>{"f.json"});
  fs::remove(path + ".json");
  EXPECT_TRUE(pull().downloaded);
  EXPECT_EQ(read_text(path), other);
}

TEST_F(Cache, AFileThatWasChangedIsRefused) {
  pull();
  write_text(path, body + "x");
  for (const std::string& sentence : {refusal(), error_of([&] { find_in_cache(file); })}) {
    EXPECT_EQ(sentence, "[pull] " + path +
                            ": expected 300000 bytes as it was downloaded, found 300001; remove it and "
                            "pull it again");
  }
  std::string other = body;
  other.back() ^= 1;
  write_text(path, other);
  for (const std::string& sentence : {refusal(), error_of([&] { find_in_cache(file); })}) {
    EXPECT_TRUE(has(sentence, "expected SHA-256 " + sha256 + " as it was downloaded, found ")) << sentence;
  }
  EXPECT_EQ(read_text(path), other);
}

TEST_F(Cache, OnlyAPullHashesAFileThatWasNotModified) {
  pull();
  const auto modified = fs::last_write_time(path);
  std::string other = body;
  other.back() ^= 1;
  write_text(path, other);
  fs::last_write_time(path, modified);
  EXPECT_EQ(find_in_cache(file), path);
  EXPECT_TRUE(has(refusal(), "expected SHA-256 " + sha256));

  write_text(path, body);
  fs::last_write_time(path, modified + std::chrono::hours(1));
  EXPECT_EQ(find_in_cache(file), path);
  EXPECT_FALSE(pull().downloaded);
  EXPECT_NE(read_record(path)->modified_ns, -1);
  write_text(path, other);
  fs::last_write_time(path, modified + std::chrono::hours(1));
  EXPECT_EQ(find_in_cache(file), path);  // the pull before has taken note of the new time
}

TEST_F(Cache, FilesOfOthersStayAsTheyAre) {
  fs::create_directories(cache);
  write_text(path, "mine");
  EXPECT_EQ(find_in_cache(file), std::nullopt);
  file.sha256 = "0000";
  EXPECT_EQ(refusal(), "[pull] " + path + ": expected SHA-256 0000... as it is published, found " +
                           sha256_of_file(path) + "; no pull has put it there: move it away");
  file.size = 300'000;
  EXPECT_TRUE(has(refusal(), path + ": expected 300000 bytes as it is published, found 4;"));
  EXPECT_EQ(read_text(path), "mine");
  EXPECT_EQ(find_in_cache(file), std::nullopt);
  file.size = 0;
  file.sha256 = "";
  for (const char* const page : {"", "<!DOCTYPE html><html>sign in</html>"}) {
    write_text(path, page);
    EXPECT_TRUE(has(refusal(), path + ": expected a weight file as it is published, found an "));
  }
  fs::remove(path);
  write_text(path + ".json", "{}");
  EXPECT_TRUE(has(refusal(), path + ".json: expected the record of a download, found no text \"name\""));
  file.sha256 = "0000";
  write_record(path, {file.name, "x", 1, sha256, 0});
  EXPECT_TRUE(has(refusal(), path + ".json: expected the record of gcvit_test.keras, found another"));
  fs::remove(path + ".json");
  fs::create_directory(path);
  EXPECT_TRUE(has(refusal(), path + ": expected a file, found a folder or device"));
}

TEST_F(Cache, AFilePutThereByHandIsCheckedAndRecorded) {
  fs::create_directories(cache);
  write_text(path, body);
  EXPECT_EQ(find_in_cache(file), std::nullopt) << "nobody has checked it";
  from("status-404");
  file.size = body.size();
  file.sha256 = sha256.substr(0, 8);
  const Pulled pulled = pull();
  EXPECT_FALSE(pulled.downloaded);
  EXPECT_EQ(pulled.sha256, sha256);
  EXPECT_EQ(find_in_cache(file), path);
  EXPECT_EQ(read_record(path)->sha256, sha256);

  // Without a published hash it is trusted once, and held to that afterwards.
  fs::remove(path + ".json");
  file.sha256 = "";
  std::string said;
  Listener listener;
  listener.notice = [&](const std::string& sentence) { said += sentence; };
  EXPECT_FALSE(hub::pull(file, cache, listener).downloaded);
  EXPECT_TRUE(has(said, "its SHA-256 isn't published, so it is trusted as it is")) << said;
  said.clear();
  EXPECT_FALSE(hub::pull(file, cache, listener).downloaded);
  EXPECT_EQ(said, "");
}

TEST_F(Cache, AFolderThatCantBeMade) {
  cache = "/proc/self/gcvit";
  EXPECT_EQ(refusal(), "[file] /proc/self/gcvit: can't be made: No such file or directory");
  cache = top / "body/x";
  EXPECT_TRUE(has(refusal(), "[file] ")) << refusal();
}

TEST_F(Cache, KilledWhileItDownloadsItGoesOnLater) {
  for (const int signal : {SIGKILL, SIGINT}) {
    fs::remove_all(cache);
    from("trickle");
    const pid_t process = pull_beside();
    std::error_code error;
    while (fs::file_size(path + ".part", error) < 20'000 || error) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    kill(process, signal);
    int status = 0;
    waitpid(process, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the download was over too early";
    EXPECT_FALSE(fs::exists(path));
    EXPECT_EQ(find_in_cache(file), std::nullopt);
    const std::size_t had = fs::file_size(path + ".part");
    EXPECT_EQ(read_text(path + ".part"), body.substr(0, had));

    std::size_t first = 0;
    Listener listener;
    listener.bytes = [&](std::uint64_t done, std::uint64_t) { first = first == 0 ? done : first; };
    EXPECT_TRUE(hub::pull(file, cache, listener, {}).downloaded);
    EXPECT_EQ(first, had);
    expect_whole();
  }
}

TEST_F(Cache, KilledJustBeforeTheFileGetsItsName) {
  pull();
  fs::rename(path, path + ".part");
  from("status-500");
  EXPECT_TRUE(pull().downloaded);
  expect_whole();
}

TEST_F(Cache, SeveralPullsAtOnceDownloadOnce) {
  from("trickle");
  std::vector<pid_t> processes;
  for (int i = 0; i < 4; ++i) processes.push_back(pull_beside());
  std::vector<int> codes;
  for (const pid_t process : processes) {
    int status = 0;
    waitpid(process, &status, 0);
    codes.push_back(WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  }
  std::sort(codes.begin(), codes.end());
  EXPECT_EQ(codes, (std::vector<int>{0, 1, 1, 1}));
  EXPECT_EQ(requests("trickle"), 1u);
  expect_whole();
}

TEST_F(Cache, WhoeverWaitsDownloadsWhenTheOtherGaveUp) {
  fs::create_directories(cache);
  std::atomic<bool> waits = false;
  std::thread waiting;
  {
    const PartFile others(path, nullptr);
    waiting = std::thread([&] {
      Listener listener;
      listener.notice = [&](const std::string& sentence) { waits = has(sentence, "waiting for another pull"); };
      EXPECT_TRUE(hub::pull(file, cache, listener, {}).downloaded);
    });
    while (!waits) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }  // removes the part, which is empty
  waiting.join();
  expect_whole();
}

TEST_F(Cache, WhereItLies) {
  EXPECT_EQ(cache_folder(), cache);
  unsetenv("GCVIT_CACHE");
  setenv("XDG_CACHE_HOME", "/x", 1);
  EXPECT_EQ(cache_folder(), "/x/gcvit");
  setenv("HOME", "/home/me", 1);
  setenv("XDG_CACHE_HOME", "relative", 1);
  EXPECT_EQ(cache_folder(), "/home/me/.cache/gcvit");
  unsetenv("XDG_CACHE_HOME");
  EXPECT_EQ(cache_folder(), "/home/me/.cache/gcvit");
  unsetenv("HOME");
  EXPECT_TRUE(has(error_of([] { cache_folder(); }), "HOME, XDG_CACHE_HOME or GCVIT_CACHE"));
}

TEST_F(Cache, AMirrorsAddressIsTakenWithCare) {
  setenv("GCVIT_HUB_URL", "/home/me", 1);
  EXPECT_TRUE(has(refusal(), "[pull] GCVIT_HUB_URL: expected an address that starts with https:// or http://"));
  setenv("GCVIT_HUB_URL", server->url("ok//").c_str(), 1);
  EXPECT_TRUE(pull().downloaded);
}

}  // namespace
}  // namespace gcvit::hub
