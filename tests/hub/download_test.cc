// SPDX-License-Identifier: Apache-2.0
#include "hub/download.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <sstream>

#include "digest/sha256.h"
#include "tests/hub/server.h"
#include "tests/testing/error_of.h"
#include "tests/weights/test_files.h"

namespace gcvit::hub {
namespace {

using testing::error_of;
using weights::read_text;
using weights::write_text;

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

constexpr std::size_t kBodyBytes = 200'001;

struct Download : ::testing::Test {
  weights::TemporaryFolder folder;
  std::string body = sample_bytes(kBodyBytes);
  std::string body_file = written(folder / "body", body);
  std::string sha256 = sha256_of_file(body_file);
  std::string file = folder / "f";
  std::string part_path = file + ".part";
  std::unique_ptr<Server> server = std::make_unique<Server>(body_file);

  RetryPolicy retry_policy{.connect = std::chrono::seconds(10),
                           .stall = std::chrono::seconds(10),
                           .tries = 3,
                           .first_pause = std::chrono::milliseconds(1)};
  std::vector<std::string> notices;
  std::vector<std::uint64_t> progress;

  static std::string written(const std::string& path, const std::string& text) {
    write_text(path, text);
    return path;
  }

  std::string download(Source source) {
    Listener listener;
    listener.notice = [&](const std::string& sentence) { notices.push_back(sentence); };
    listener.bytes = [&](std::uint64_t done, std::uint64_t) { progress.push_back(done); };
    PartFile part(file, nullptr);
    std::string result = hub::download(source, part, retry_policy, listener);
    part.publish();
    return result;
  }
  std::string download_path(const std::string& path) { return download({.url = server->url(path)}); }

  void expect_whole(const std::string& path) {
    EXPECT_EQ(download_path(path), sha256) << path;
    EXPECT_EQ(read_text(file), body) << path;
    EXPECT_EQ(folder.files(), 2u) << path;  // and the body that is served
    std::filesystem::remove(file);
  }
  /// The error's sentence; nothing lies under the file's name.
  std::string failure_of(const Source& source) {
    const std::string sentence = error_of([&] { download(source); });
    EXPECT_TRUE(sentence.starts_with("[pull] ") || sentence.starts_with("[file] ")) << sentence;
    EXPECT_EQ(std::count(sentence.begin(), sentence.end(), '\n'), 0) << sentence;
    EXPECT_FALSE(std::filesystem::exists(file)) << sentence;
    return sentence;
  }
  std::string failure(const std::string& path) { return failure_of({.url = server->url(path)}); }

  /// What the server was asked: path, Range, If-Range.
  std::vector<std::string> requests() {
    const std::string before = file;
    file = folder / "requests";
    download_path("requests");
    std::vector<std::string> lines;
    std::istringstream text(read_text(file));
    for (std::string line; std::getline(text, line);) lines.push_back(line);
    std::filesystem::remove(file);
    file = before;
    return lines;
  }
};

TEST_F(Download, BringsTheFile) {
  expect_whole("ok/f");
  EXPECT_EQ(progress.front(), 0u);
  EXPECT_EQ(progress.back(), kBodyBytes);
  EXPECT_TRUE(std::is_sorted(progress.begin(), progress.end()));
  EXPECT_EQ(notices.size(), 0u);
  expect_whole("plain/f");
  EXPECT_EQ(download({server->url("ok/f"), kBodyBytes, sha256, ""}), sha256);
  EXPECT_EQ(download({server->url("ok/f"), kBodyBytes, sha256.substr(0, 8), ""}), sha256);
}

TEST_F(Download, AnEmptyFileIsAFileToo) {
  server = std::make_unique<Server>(written(folder / "body", ""));
  EXPECT_EQ(download_path("plain/f"), sha256_of_file(folder / "body"));
  EXPECT_EQ(std::filesystem::file_size(file), 0u);
}

TEST_F(Download, APageIsNoWeightFile) {
  server = std::make_unique<Server>(written(folder / "body", "<!DOCTYPE html><html>Sign in</html>"));
  EXPECT_EQ(failure("plain/f"), "[pull] " + server->url("plain/f") +
                                    ": expected a weight file, found an HTML page; what has come was removed");
  EXPECT_EQ(folder.files(), 1u);
}

TEST_F(Download, FollowsAFewRedirects) {
  expect_whole("redirect-1/f");
  expect_whole("redirect-5/f");
  EXPECT_TRUE(has(failure("redirect-6/f"), "expected at most 5 redirects, found more"));
  EXPECT_TRUE(has(failure("loop/f"), "expected at most 5 redirects, found more"));
  const std::vector<std::string> asked = requests();
  EXPECT_EQ(std::count(asked.begin(), asked.end(), "/loop/f None None"), 6);
}

TEST_F(Download, GoesOnWhereATransferEnded) {
  expect_whole("cut-2/f");
  ASSERT_EQ(notices.size(), 2u);
  EXPECT_TRUE(has(notices[0], "ended after 100000 of 200001 bytes")) << notices[0];
  EXPECT_EQ(requests(), (std::vector<std::string>{"/cut-2/f None None", "/cut-2/f bytes=100000- \"version 1\"",
                                                  "/cut-2/f bytes=150000- \"version 1\""}));
}

TEST_F(Download, ADateTellsAVersionToo) {
  expect_whole("date-1/f");
  EXPECT_EQ(requests().back(), "/date-1/f bytes=100000- Wed, 01 Nov 2023 00:00:00 GMT");
}

TEST_F(Download, StartsAgainWhereItCantGoOn) {
  for (const char* path : {"plain-1/f", "weak-1/f"}) {
    expect_whole(path);
    EXPECT_EQ(requests().back(), fmt::format("/{} None None", path));
  }
  expect_whole("changed-1/f");  // asks for the rest of version 1 and gets all of version 2
  EXPECT_EQ(requests().back(), "/changed-1/f bytes=100000- \"1\"");
  expect_whole("lies-1/f");
  EXPECT_TRUE(has(notices.back(), "another range")) << notices.back();
  EXPECT_EQ(requests().back(), "/lies-1/f None None");
}

TEST_F(Download, GoesOnInAnotherProcess) {
  retry_policy.tries = 1;
  EXPECT_TRUE(has(failure("cut-1/f"), "the next pull goes on from there"));
  EXPECT_EQ(read_text(part_path), body.substr(0, 100'000));
  progress.clear();
  expect_whole("cut-1/f");
  EXPECT_EQ(progress.front(), 100'000u);
  EXPECT_EQ(requests().back(), "/cut-1/f bytes=100000- \"version 1\"");
}

TEST_F(Download, APartOfSomethingElseIsNotGoneOnWith) {
  retry_policy.tries = 1;
  failure("cut-1/f");
  expect_whole("ok/f");
  EXPECT_EQ(requests().back(), "/ok/f None None");
  for (const char* origin :
       {"", "[]", "{\"url\": 1}", "{\"url\": \"http://else.where/f\", \"validator\": \"\\\"1\\\"\"}"}) {
    write_text(part_path, "something");
    write_text(part_path + ".json", origin);
    expect_whole("ok/f");
  }
}

TEST_F(Download, AWholePartNeedsNoMoreBytes) {
  PartFile(file, nullptr).start(server->url("ok/f"), "\"version 1\"");
  const auto leave_part = [&](const std::string& bytes) {
    PartFile part(file, nullptr);
    part.start(server->url("ok/f"), "\"version 1\"");
    part.append(std::as_bytes(std::span(bytes)));
  };
  leave_part(body);
  expect_whole("ok/f");
  EXPECT_EQ(requests().back(), "/ok/f bytes=200001- \"version 1\"");
  leave_part(body + "and more");
  expect_whole("ok/f");
  EXPECT_EQ(requests().back(), "/ok/f None None");
}

TEST_F(Download, TriesAgainWhenAServerIsBusy) {
  expect_whole("busy-2/f");
  EXPECT_EQ(notices.size(), 2u);
  EXPECT_TRUE(has(notices[0], "found HTTP 503; trying again")) << notices[0];
  EXPECT_TRUE(has(failure("busy-3/f"), "found HTTP 503"));
  EXPECT_TRUE(has(failure("always-cut/f"), "ended after 0 of 200001 bytes"));
  EXPECT_EQ(folder.files(), 1u);
}

TEST_F(Download, SaysWhatTheServerSays) {
  EXPECT_EQ(failure("status-404/f"),
            "[pull] " + server->url("status-404/f") + ": expected the file, found HTTP 404 (there is no such file)");
  EXPECT_TRUE(has(failure("big-error/f"), "found HTTP 404"));
  for (const int status : {204, 302, 304, 401, 403, 410}) {
    EXPECT_TRUE(has(failure(fmt::format("status-{}/f", status)), fmt::format("found HTTP {}", status)));
  }
  EXPECT_EQ(requests().size(), 8u);  // each once
  EXPECT_EQ(folder.files(), 1u);
}

TEST_F(Download, AWrongSha256IsRefusedAndRemoved) {
  const std::string wrong(64, '0');
  EXPECT_EQ(failure_of({server->url("ok/f"), 0, wrong, "as it is published"}),
            "[pull] " + server->url("ok/f") + ": expected SHA-256 " + wrong + " (as it is published), found " + sha256 +
                "; what has come was removed");
  EXPECT_TRUE(has(failure_of({server->url("ok/f"), kBodyBytes, "0000", "x"}), "expected SHA-256 0000... (x), found "));
  EXPECT_EQ(folder.files(), 1u);
}

TEST_F(Download, AWrongSizeIsRefusedBeforeItComes) {
  EXPECT_TRUE(has(failure_of({server->url("ok/f"), 200'002, "", ""}), "expected a file of 200002 bytes, found 200001"));
  EXPECT_TRUE(has(failure("huge-9000000000/f"), "expected a file of at most 8589934592 bytes, found 9000000000"));
  EXPECT_EQ(folder.files(), 1u);
}

TEST_F(Download, AServerMustTellASizeAndKeepToIt) {
  EXPECT_TRUE(has(failure("endless/f"), "expected a server that tells the file's size"));
  EXPECT_TRUE(has(failure("unsized/f"), "expected a server that tells the file's size"));
  EXPECT_TRUE(has(failure("long/f"), "expected a server that tells the file's size"));
  EXPECT_TRUE(
      has(failure_of({server->url("endless/f"), kBodyBytes, "", ""}), "expected a file of 200001 bytes, found more"));
  EXPECT_LE(std::filesystem::file_size(part_path), kBodyBytes);
  EXPECT_TRUE(
      has(failure_of({server->url("long/f"), kBodyBytes, "", ""}), "expected a file of 200001 bytes, found more"));
}

TEST_F(Download, AKnownSizeMakesUpForOneThatIsntTold) {
  EXPECT_EQ(download({server->url("unsized/f"), kBodyBytes, "", ""}), sha256);
  std::filesystem::remove(file);
  EXPECT_EQ(download({server->url("unsized-cut/f"), kBodyBytes, "", ""}), sha256);
  EXPECT_EQ(requests().back(), "/unsized-cut/f bytes=100000- \"version 1\"");
}

TEST_F(Download, AServerThatStallsIsLeft) {
  retry_policy.stall = std::chrono::seconds(1);
  retry_policy.tries = 1;
  const std::string sentence = failure("slow/f");
  EXPECT_TRUE(has(sentence, "ended after 100 of 200001 bytes (Operation too slow")) << sentence;
  EXPECT_EQ(std::filesystem::file_size(part_path), 100u);
}

TEST_F(Download, NobodyAnswers) {
  const std::string url = server->url("ok/f");
  server.reset();
  const std::string sentence = failure_of({.url = url});
  EXPECT_TRUE(has(sentence, "Failed to connect")) << sentence;
  EXPECT_EQ(notices.size(), 2u);
  EXPECT_TRUE(has(failure_of({.url = "http://nowhere.invalid/f"}), "resolve"));
  EXPECT_TRUE(has(failure_of({.url = "file:///etc/passwd"}), "rotocol"));
  EXPECT_EQ(folder.files(), 1u);
}

TEST_F(Download, AFolderThatCantBeWritten) {
  file = folder / "nowhere/f";
  EXPECT_EQ(failure("ok/f"), "[file] " + file + ".part: can't be written: No such file or directory");
  file = folder / "f";
  ASSERT_EQ(symlink("/dev/full", part_path.c_str()), 0);
  EXPECT_TRUE(has(failure("ok/f"), "f.part: can't be written"));
}

/// No file of this process may grow beyond this size: writing fails as on a full disk, with another reason.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    before_ = std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit_);
    const rlimit lower{bytes, limit_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &lower);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &limit_);
    std::signal(SIGXFSZ, before_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit limit_{};
  void (*before_)(int);
};

TEST_F(Download, AFullDisk) {
  {
    const FileSizeLimit limit(70'000);
    EXPECT_EQ(failure("ok/f"), "[file] " + part_path + ": can't be written: File too large");
  }
  EXPECT_EQ(read_text(part_path), body.substr(0, 70'000));
  expect_whole("ok/f");
  EXPECT_EQ(requests().back(), "/ok/f bytes=70000- \"version 1\"");
}

TEST_F(Download, NotEvenBegunWhenTheDiskHasNoRoom) {
  const std::uint64_t more = PartFile(file, nullptr).free_bytes() + (std::uint64_t{1} << 40);
  const std::string sentence =
      failure_of({.url = server->url("huge-" + std::to_string(more) + "/f"), .most_bytes = 2 * more});
  EXPECT_TRUE(has(sentence, "expected room for " + std::to_string(more) + " more bytes, found ")) << sentence;
  EXPECT_EQ(folder.files(), 1u);
}

struct Https : Download {
  /// A certificate that nobody vouches for, with its key.
  std::string certificate(const std::string& name) {
    const std::string path = folder / (name + ".pem");
    const std::string key = folder / "key";
    const std::string command =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj '/CN=test' -addext "
        "'subjectAltName=" +
        name + "' -keyout '" + key + "' -out '" + path + "' 2>/dev/null && cat '" + key + "' >>'" + path + "' && rm '" +
        key + "'";
    EXPECT_EQ(std::system(command.c_str()), 0);
    return path;
  }
  void trust(const std::string& path) { setenv("SSL_CERT_FILE", path.c_str(), 1); }
  ~Https() override { unsetenv("SSL_CERT_FILE"); }
};

TEST_F(Https, ACertificateThatNobodyVouchesForIsRefused) {
  const std::string ours = certificate("IP:127.0.0.1");
  const Server https(body_file, {"--tls", ours, "--elsewhere", server->url("ok/f")});
  const Source source{.url = https.url("ok/f", "https")};
  EXPECT_TRUE(has(failure_of(source), "the server's certificate isn't to be trusted"));
  EXPECT_EQ(notices.size(), 0u);

  trust(ours);
  EXPECT_EQ(download(source), sha256);
  std::filesystem::remove(file);
  const std::string sentence = failure_of({.url = https.url("to-http/f", "https")});
  EXPECT_TRUE(has(sentence, "expected a redirect to https, found http://127.0.0.1")) << sentence;

  trust(folder / "nowhere");
  EXPECT_TRUE(has(failure_of(source), "package ca-certificates"));
}

TEST_F(Https, ACertificateOfAnotherServerIsRefused) {
  const std::string ours = certificate("IP:127.0.0.2");
  trust(ours);
  const Server https(body_file, {"--tls", ours});
  EXPECT_TRUE(has(failure_of({.url = https.url("ok/f", "https")}), "the server's certificate isn't to be trusted"));
}

}  // namespace
}  // namespace gcvit::hub
