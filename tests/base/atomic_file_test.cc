// SPDX-License-Identifier: Apache-2.0
#include "base/atomic_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <system_error>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "tests/testing/faults.h"

namespace gcvit {
namespace {

class AtomicFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "gcvit_atomic_XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    path_ = (folder_ / "file").string();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string content() const { return content(path_); }
  static std::string content(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static struct stat status_of(const std::filesystem::path& path) {
    struct stat status{};
    EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
    return status;
  }
  static unsigned mode_of(const std::filesystem::path& path) { return status_of(path).st_mode & 07777; }
  static void write(const std::string& path, std::string_view text) {
    AtomicFile file(path);
    file.write(text);
    file.commit();
  }
  /// As a user who isn't root, whoever runs the tests.
  static void as_nobody(const std::function<void()>& run) {
    constexpr unsigned kNobody = 65534;
    const bool root = geteuid() == 0;
    if (root) {
      ASSERT_EQ(setegid(kNobody), 0);
      ASSERT_EQ(seteuid(kNobody), 0);
    }
    run();
    if (root) {
      ASSERT_EQ(seteuid(0), 0);
      ASSERT_EQ(setegid(0), 0);
    }
  }
  auto files() const { return std::distance(std::filesystem::directory_iterator(folder_), {}); }

  static std::string error_of(const std::function<void()>& run) {
    try {
      run();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  std::filesystem::path folder_;
  std::string path_;
};

TEST_F(AtomicFileTest, AppearsWholeAtCommit) {
  AtomicFile file(path_);
  file.write("header....");
  file.write("data");
  file.write_at(6, std::as_bytes(std::span("1234", 4)));
  EXPECT_FALSE(std::filesystem::exists(path_));
  file.commit();
  EXPECT_EQ(content(), "header1234data");
  EXPECT_EQ(files(), 1);
}

TEST_F(AtomicFileTest, LeavesTheOldFileWithoutCommit) {
  std::ofstream(path_) << "old";
  {
    AtomicFile file(path_);
    file.write("new");
  }
  EXPECT_EQ(content(), "old");
  EXPECT_EQ(files(), 1);
}

TEST_F(AtomicFileTest, SaysWhyItCannotWrite) {
  const std::string missing = (folder_ / "none" / "file").string();
  EXPECT_EQ(error_of([&] { AtomicFile file(missing); }),
            "[file] " + missing + ": can't be written: No such file or directory");
  EXPECT_EQ(error_of([&] { AtomicFile file(folder_.string()); }),
            "[file] " + folder_.string() + ": expected a file to write, found a directory");
  EXPECT_EQ(error_of([&] { AtomicFile file("/dev/null"); }),
            "[file] /dev/null: expected a file to write, found a device");
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(error_of([&] { AtomicFile file(path_); }), "[file] " + path_ + ": expected a file to write, found a pipe");
  EXPECT_EQ(error_of([&] { AtomicFile file(""); }), "[file] : can't be written: No such file or directory");
  EXPECT_EQ(error_of([&] { AtomicFile file(missing + "/"); }),
            "[file] " + missing + "/: can't be written: Is a directory");
}

TEST_F(AtomicFileTest, IsWholeOrNotThereOnAnyDeviceThatFails) {
  testing::expect_whole_or_not_at_all(path_, [&] {
    AtomicFile file(path_);
    file.write("a header...");
    file.write(std::string(300, 'x'));
    file.write_at(2, std::as_bytes(std::span("HEADER", 6)));
    file.write("more");
    file.commit();
  });
}

TEST_F(AtomicFileTest, ADeviceThatTakesNothingIsNotAskedForEver) {
  testing::Faults faults;
  faults.most_bytes = 0;
  EXPECT_EQ(error_of([&] { write(path_, "text"); }), "[file] " + path_ + ": can't be written: Input/output error");
}

TEST_F(AtomicFileTest, WritesThroughSymbolicLinks) {
  std::filesystem::create_directory(folder_ / "far");
  const std::filesystem::path target = folder_ / "far/target";
  const auto expect_written = [&](const std::string& text) {
    write(path_, text);
    EXPECT_TRUE(std::filesystem::is_symlink(path_));
    EXPECT_TRUE(std::filesystem::is_regular_file(std::filesystem::symlink_status(target)));
    EXPECT_EQ(content(target), text);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_ / "far"), {}), 1);
  };
  std::filesystem::create_symlink("far/target", path_);
  expect_written("the target isn't there yet");
  expect_written("now it is");

  std::filesystem::remove(path_);
  std::filesystem::create_symlink(target, folder_ / "second");  // absolute
  std::filesystem::create_symlink("second", path_);
  expect_written("behind two links");
  EXPECT_TRUE(std::filesystem::is_symlink(folder_ / "second"));

  // Through a folder that is a link: ".." is the real folder's.
  std::filesystem::remove(path_);
  std::filesystem::create_directories(folder_ / "far/deep");
  std::filesystem::create_directory_symlink("far/deep", folder_ / "door");
  std::filesystem::create_symlink("door/../target", path_);
  write(path_, "by another way");
  EXPECT_EQ(content(target), "by another way");

  std::filesystem::remove(path_);
  std::filesystem::create_symlink("none/target", path_);
  EXPECT_EQ(error_of([&] { write(path_, "x"); }), "[file] " + path_ + ": can't be written: No such file or directory");
  std::filesystem::remove(path_);
  std::filesystem::create_symlink("far", path_);
  EXPECT_EQ(error_of([&] { write(path_, "x"); }), "[file] " + path_ + ": expected a file to write, found a directory");
  std::filesystem::remove(path_);
  std::filesystem::create_symlink("file", path_);
  EXPECT_EQ(error_of([&] { write(path_, "x"); }),
            "[file] " + path_ + ": can't be written: " + std::generic_category().message(ELOOP));
}

TEST_F(AtomicFileTest, ALinkThatFailsToBeWrittenStaysToo) {
  std::ofstream(folder_ / "target") << "old";
  std::filesystem::create_symlink("target", path_);
  testing::Faults faults;
  faults.capacity = 2;
  faults.error = ENOSPC;
  EXPECT_EQ(error_of([&] { write(path_, "new"); }), "[file] " + path_ + ": can't be written: No space left on device");
  EXPECT_TRUE(std::filesystem::is_symlink(path_));
  EXPECT_EQ(content(), "old");
  EXPECT_EQ(files(), 2);
}

TEST_F(AtomicFileTest, AnOpenFileIsWrittenByItsName) {
  const int descriptor = ::open(path_.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0666);
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  write(link, "text");
  EXPECT_EQ(content(), "text");
  EXPECT_EQ(error_of([&] { write(link, "x"); }),
            "[file] " + link + ": expected a file to write, found one without a name");
  EXPECT_EQ(files(), 1);
  ::close(descriptor);
}

TEST_F(AtomicFileTest, KeepsThePermissionsOfTheOlderFile) {
  const mode_t umask_before = ::umask(027);
  write(path_, "new");
  EXPECT_EQ(mode_of(path_), 0640u);
  for (const unsigned mode : {0600u, 0644u, 0755u, 0666u, 0200u}) {
    ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
    for (const bool without_unnamed : {false, true}) {
      testing::Faults device;
      device.without_unnamed = without_unnamed;
      write(path_, "newer");
      EXPECT_EQ(mode_of(path_), mode);
    }
  }
  // Before it is whole it is nobody else's business either.
  ASSERT_EQ(::chmod(path_.c_str(), 0600), 0);
  testing::Faults device;
  device.without_unnamed = true;
  const AtomicFile file(path_);
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) EXPECT_EQ(mode_of(entry.path()), 0600u);
  EXPECT_EQ(files(), 2);
  ::umask(umask_before);
}

TEST_F(AtomicFileTest, KeepsTheOwnerWhereItMay) {
  if (geteuid() != 0) GTEST_SKIP() << "only root may give files away";
  write(path_, "old");
  ASSERT_EQ(::chown(path_.c_str(), 1234, 5678), 0);
  ASSERT_EQ(::chmod(path_.c_str(), 04642), 0);
  write(path_, "new");
  EXPECT_EQ(status_of(path_).st_uid, 1234u);
  EXPECT_EQ(status_of(path_).st_gid, 5678u);
  EXPECT_EQ(mode_of(path_), 04642u);

  // Else the group that the file falls to gets no more than everybody had, and nobody else's rights are lent.
  ASSERT_EQ(::chmod(folder_.c_str(), 0777), 0);
  as_nobody([&] { write(path_, "newer"); });
  EXPECT_EQ(status_of(path_).st_uid, 65534u);
  EXPECT_EQ(mode_of(path_), 0622u);
}

TEST_F(AtomicFileTest, AWriteProtectedFileIsRefused) {
  write(path_, "old");
  ASSERT_EQ(::chmod(path_.c_str(), 0444), 0);
  ASSERT_EQ(::chmod(folder_.c_str(), 0777), 0);
  as_nobody([&] {
    EXPECT_EQ(error_of([&] { write(path_, "new"); }), "[file] " + path_ + ": can't be written: Permission denied");
  });
  EXPECT_EQ(content(), "old");
  EXPECT_EQ(files(), 1);
}

TEST_F(AtomicFileTest, ANameMayBeAsLongAsTheFileSystemAllows) {
  std::string name;
  while (name.size() < 252) name += "\xc3\xa4";  // ä
  for (const char* const ending : {"", "a", "bc", "abc"}) {
    const std::string path = (folder_ / (name + ending)).string();
    for (const bool without_unnamed : {false, true}) {
      testing::Faults device;
      device.without_unnamed = without_unnamed;
      AtomicFile file(path);
      file.write("text");
      for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
        const std::string found = entry.path().filename().string();
        if (found.ends_with(".part")) {
          EXPECT_TRUE(is_temporary_of(found, name + ending)) << found;
        }
      }
      file.commit();
    }
    EXPECT_EQ(content(path), "text");
  }
  EXPECT_EQ(files(), 4);
  const std::string longer = (folder_ / std::string(256, 'a')).string();
  EXPECT_EQ(error_of([&] { write(longer, "x"); }), "[file] " + longer + ": can't be written: File name too long");
}

TEST_F(AtomicFileTest, KnowsItsTemporaries) {
  EXPECT_TRUE(is_temporary_of("log.csv.12.0.part", "log.csv"));
  EXPECT_TRUE(is_temporary_of("log.csv.4194304.17.part", "log.csv"));
  for (const char* name : {"log.csv", "log.csv.part", "log.csv.12.part", "log.csv.12.x.part", "log.csv.12.0.parts",
                           "log.csv..0.part", "log.csv.12..part", "log.csv12.0.part", "a.log.csv.12.0.part",
                           "log.cs.12.0.part", ".12.0.part", "12.0.part", ".part", ""}) {
    EXPECT_FALSE(is_temporary_of(name, "log.csv")) << name;
  }
  // A name of 255 bytes is cut by as much as ".12.0.part" adds.
  const std::string name(255, 'x');
  EXPECT_TRUE(is_temporary_of(name.substr(0, 245) + ".12.0.part", name));
  EXPECT_FALSE(is_temporary_of(name.substr(0, 244) + ".12.0.part", name));
}

TEST_F(AtomicFileTest, AKilledProcessLeavesNothing) {
  std::ofstream(path_) << "old";
  const int unnamed = ::open(folder_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (unnamed < 0) GTEST_SKIP() << "this file system has no files without names";
  ::close(unnamed);
  const pid_t child = fork();
  if (child == 0) {
    AtomicFile file(path_);
    file.write("new");
    ::raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(content(), "old");
  EXPECT_EQ(files(), 1);
}

TEST_F(AtomicFileTest, OfSeveralWritersOneIsLast) {
  std::vector<std::thread> writers;
  for (const char letter : {'a', 'b', 'c', 'd'}) {
    writers.emplace_back([&, letter] {
      for (int round = 0; round < 50; ++round) write(path_, std::string(5000, letter));
    });
  }
  for (std::thread& writer : writers) writer.join();
  const std::string last = content();
  EXPECT_EQ(last, std::string(5000, last.front()));
  EXPECT_EQ(files(), 1);
}

TEST_F(AtomicFileTest, TakesAFreeNameOnly) {
  for (const bool unnamed : {true, false}) {
    testing::Faults faults;
    faults.without_unnamed = !unnamed;
    {
      AtomicFile file(path_);
      file.write("one");
      EXPECT_TRUE(file.commit_new());
    }
    EXPECT_EQ(content(), "one");
    {
      AtomicFile file(path_);
      file.write("two");
      EXPECT_FALSE(file.commit_new());
    }
    EXPECT_EQ(content(), "one");
    {
      AtomicFile file((folder_ / "other").string());
      file.write("three");
    }
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1) << unnamed;
    std::filesystem::remove(path_);
  }
}

}  // namespace
}  // namespace gcvit
