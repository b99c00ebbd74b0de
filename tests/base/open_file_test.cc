// SPDX-License-Identifier: Apache-2.0
#include "base/open_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/resource_error.h"
#include "tests/testing/error_of.h"

namespace gcvit {
namespace {

using testing::error_of;

/// A folder with one of everything that has a path.
class OpenFile : public ::testing::Test {
 protected:
  OpenFile() {
    std::string pattern = (std::filesystem::temp_directory_path() / "gcvit_open_XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    std::ofstream(path("file")) << "one\ntwo\n";
    mkfifo(path("pipe").c_str(), 0600);
    std::filesystem::create_directory(path("folder"));
    std::filesystem::create_symlink("file", path("link"));
    std::filesystem::create_symlink("pipe", path("link_to_pipe"));
    std::filesystem::create_symlink("nothing", path("dangling"));
    socket_ = Descriptor(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path("socket").c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(socket_.number(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  ~OpenFile() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  static std::string text_of(const std::string& path) {
    std::string text;
    read_stream(path, "list", [&](std::string_view piece) { text += piece; });
    return text;
  }

  std::filesystem::path folder_;
  Descriptor socket_;
};

TEST_F(OpenFile, OnlyRegularFilesAreOpenedAndNoneIsWaitedFor) {
  EXPECT_EQ(open_regular_file(path("file"), "x").size, 8u);
  EXPECT_EQ(open_regular_file(path("link"), "x").size, 8u);
  const auto refusal = [&](const std::string& file) { return error_of([&] { open_regular_file(file, "x"); }); };
  for (const std::string name : {"pipe", "link_to_pipe"}) {
    EXPECT_EQ(refusal(path(name)), "[x] " + path(name) + ": expected a regular file, found a pipe");
  }
  EXPECT_EQ(refusal(path("folder")), "[x] " + path("folder") + ": expected a regular file, found a directory");
  EXPECT_EQ(refusal(path("socket")), "[x] " + path("socket") + ": expected a regular file, found a socket");
  EXPECT_EQ(refusal("/dev/zero"), "[x] /dev/zero: expected a regular file, found a device");
  for (const std::string name : {"none", "dangling", "file/below"}) {
    EXPECT_EQ(refusal(path(name)), "[x] " + path(name) + ": no such file");
  }
  EXPECT_EQ(error_of([&] { open_regular_file(path("pipe"), "x", "the photo"); }),
            "[x] the photo: expected a regular file, found a pipe");
}

TEST_F(OpenFile, RefusingAPipeLeavesItsWriterWaiting) {
  std::thread writer([&] {
    const int end = ::open(path("pipe").c_str(), O_WRONLY);
    EXPECT_EQ(::write(end, "kept", 4), 4);
    ::close(end);
  });
  for (int i = 0; i < 20; ++i) {
    EXPECT_NE(error_of([&] { open_regular_file(path("pipe"), "x"); }), "no error");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(text_of(path("pipe")), "kept");
  writer.join();
}

TEST_F(OpenFile, ReadsWholeFilesUpToABound) {
  EXPECT_EQ(read_regular_text(path("file"), "x", 8), "one\ntwo\n");
  EXPECT_EQ(error_of([&] { read_regular_file(path("file"), "x", 7); }),
            "[x] " + path("file") + ": expected at most 7 bytes, found 8");
  const std::string large(1'000'000, 'a');
  std::ofstream(path("large")) << large;
  EXPECT_EQ(read_regular_text(path("large"), "x", 1'000'000), large);
  std::ofstream(path("empty"));
  EXPECT_EQ(read_regular_text(path("empty"), "x", 0), "");
  EXPECT_GT(read_regular_text("/proc/self/status", "x", 1 << 20).size(), 100u);  // says that it has 0 bytes
  EXPECT_NE(error_of([] { read_regular_text("/proc/self/status", "x", 100); }).find("at most 100"), std::string::npos);
  std::string pieces;
  read_regular_pieces(path("large"), "x", [&](std::string_view piece) { pieces += piece; });
  EXPECT_EQ(pieces, large);
}

TEST_F(OpenFile, ReadsAtAnyPlace) {
  const RegularFile file = open_regular_file(path("file"), "data");
  const auto at = [&](std::uint64_t offset, std::size_t size) {
    std::string text(size, '.');
    text.resize(read_at(file, offset, std::as_writable_bytes(std::span(text)), "data", "file"));
    return text;
  };
  EXPECT_EQ(at(0, 3), "one");
  EXPECT_EQ(at(4, 4), "two\n");
  EXPECT_EQ(at(6, 9), "o\n");
  EXPECT_EQ(at(8, 1), "");
  EXPECT_EQ(at(100, 1), "");
  EXPECT_EQ(at(0, 0), "");
  const RegularFile none;
  std::byte byte{};
  EXPECT_NE(error_of([&] { read_at(none, 0, {&byte, 1}, "data", "none"); }).find("[data] none: can't be read: "),
            std::string::npos);
}

TEST_F(OpenFile, AReadErrorIsNoEnd) {
  const std::string expected = "[x] /proc/self/mem: byte 0: can't be read: Input/output error";
  EXPECT_EQ(error_of([] { read_regular_file("/proc/self/mem", "x", 1000); }), expected);
  EXPECT_EQ(error_of([] { text_of("/proc/self/mem"); }), "[list] /proc/self/mem: can't be read: Input/output error");
  EXPECT_EQ(error_of([&] { text_of(path("folder")); }), "[list] " + path("folder") + ": can't be read: Is a directory");
}

TEST_F(OpenFile, StreamsMayBePipes) {
  EXPECT_EQ(text_of(path("file")), "one\ntwo\n");
  EXPECT_EQ(text_of("/dev/null"), "");
  const std::string large(300'000, 'b');
  std::thread writer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    std::ofstream stream(path("pipe"));
    stream << "begin " << std::flush;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    stream << large;
  });
  EXPECT_EQ(text_of(path("pipe")), "begin " + large);
  writer.join();
  EXPECT_EQ(error_of([&] { text_of(path("none")); }), "[list] " + path("none") + ": no such file");
}

TEST_F(OpenFile, AnOwnSocketIsAStreamByItsNumber) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  ASSERT_EQ(::write(ends[1], "text", 4), 4);
  ::close(ends[1]);
  EXPECT_EQ(text_of("/dev/fd/" + std::to_string(ends[0])), "text");
  ::close(ends[0]);
}

volatile std::sig_atomic_t signalled = 0;

TEST_F(OpenFile, WaitingHearsASignalWhoseHandlerRestartsCalls) {
  struct sigaction action{};
  struct sigaction before{};
  action.sa_handler = [](int) { signalled = 1; };
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &action, &before);
  struct Stopped {};
  const pthread_t reader = pthread_self();
  std::thread sender([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    pthread_kill(reader, SIGUSR1);
  });
  const auto stop = [] {
    if (signalled != 0) throw Stopped{};
  };
  EXPECT_THROW(read_stream(path("pipe"), "list", [](std::string_view) {}, stop), Stopped);  // nobody ever writes
  sender.join();
  sigaction(SIGUSR1, &before, nullptr);
}

TEST_F(OpenFile, DescriptorsThatRunOutAreNoFilesError) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const std::string file = path("file");
  const auto run_out = [&] {
    const rlimit few = {3, 3};  // the standard ones
    setrlimit(RLIMIT_NOFILE, &few);
    int code = 1;
    try {
      read_regular_file(file, "x", 100);
    } catch (const ResourceError& error) {
      std::fputs(error.what(), stderr);
      code = 0;
    }
    std::_Exit(code);
  };
  EXPECT_EXIT(run_out(), ::testing::ExitedWithCode(0), "file: can't be read: Too many open files");
}

}  // namespace
}  // namespace gcvit
