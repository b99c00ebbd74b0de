// SPDX-License-Identifier: Apache-2.0
#include "tests/testing/faults.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <system_error>
#include <utility>
#include <vector>

#include "tests/testing/error_of.h"

namespace gcvit::testing {
namespace {

thread_local Faults* device = nullptr;

bool fails() {
  Faults& faults = *device;
  const bool failing = faults.calls++ == faults.failing_call;
  if (failing) {
    faults.failed = true;
    errno = faults.error;
  }
  return failing;
}

/// How many of the bytes a write takes; -1 with errno when it fails.
std::int64_t taken(int descriptor, std::size_t size) {
  Faults& faults = *device;
  faults.written.insert(descriptor);
  if (faults.most_bytes != SIZE_MAX && std::exchange(faults.interrupted, !faults.interrupted)) {
    errno = EINTR;
    return -1;
  }
  if (fails()) return -1;
  const std::int64_t room = faults.capacity - faults.bytes;
  if (room <= 0 && size > 0) {
    faults.failed = true;
    errno = faults.error;
    return -1;
  }
  const auto count = std::min({static_cast<std::int64_t>(std::min(size, faults.most_bytes)), room});
  faults.bytes += count;
  return count;
}

using Folder = std::map<std::string, std::pair<std::string, unsigned>>;

/// Names with contents and permissions.
Folder contents_of(const std::filesystem::path& folder) {
  Folder contents;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    struct stat status{};
    EXPECT_EQ(::lstat(entry.path().c_str(), &status), 0);
    contents[entry.path().filename().string()] = {{std::istreambuf_iterator<char>(file), {}}, status.st_mode};
  }
  return contents;
}

/// All numbers below `end` when they are few; else some of them, the first and the last.
std::vector<std::int64_t> steps_below(std::int64_t end) {
  constexpr std::int64_t kMost = 100;
  std::vector<std::int64_t> steps;
  for (std::int64_t step = 0; step < end; step += 1 + end / kMost) steps.push_back(step);
  if (end > 0) steps.push_back(end - 1);
  return steps;
}

std::string reason_of(int error) { return std::generic_category().message(error); }

class Trial {
 public:
  Trial(const std::string& path, const std::function<void()>& write)
      : path_(path), folder_(std::filesystem::path(path).parent_path()), write_(write), before_(contents_of(folder_)) {}

  void every_call() {
    for (const int error : {ENOSPC, EIO, EDQUOT, EFBIG}) {
      for (const bool without_unnamed : {false, true}) {
        for (int call = 0;; ++call) {
          Faults faults;
          faults.failing_call = call;
          faults.error = error;
          faults.without_unnamed = without_unnamed;
          const std::string sentence = error_of(write_);
          if (!faults.failed) break;
          expect_refused(sentence, error, "call " + std::to_string(call));
        }
        renew();
      }
    }
  }

  void every_capacity(std::int64_t bytes) {
    for (const std::int64_t capacity : steps_below(bytes)) {
      Faults faults;
      faults.capacity = capacity;
      faults.error = ENOSPC;
      expect_refused(error_of(write_), ENOSPC, "capacity " + std::to_string(capacity));
      EXPECT_TRUE(faults.failed);
    }
  }

  /// The kernel's own limit, which libraries that write by themselves meet too.
  void every_limit(std::int64_t bytes) {
    struct rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    for (const std::int64_t limit : steps_below(bytes)) {
      struct rlimit changed = before;
      changed.rlim_cur = static_cast<rlim_t>(limit);
      ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &changed), 0);
      const std::string sentence = error_of(write_);
      ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
      expect_refused(sentence, EFBIG, "limit " + std::to_string(limit));
    }
    (void)std::signal(SIGXFSZ, handler);
  }

 private:
  void expect_refused(const std::string& sentence, int error, const std::string& what) {
    EXPECT_EQ(sentence, "[file] " + path_ + ": can't be written: " + reason_of(error)) << what;
    EXPECT_EQ(contents_of(folder_), before_) << what;
    if (contents_of(folder_) != before_) renew();
  }
  /// Back to the folder as it was.
  void renew() {
    for (const auto& [name, _] : contents_of(folder_)) {
      if (!before_.contains(name)) std::filesystem::remove(folder_ / name);
    }
    for (const auto& [name, file] : before_) {
      std::ofstream(folder_ / name, std::ios::binary) << file.first;
      EXPECT_EQ(::chmod((folder_ / name).c_str(), file.second & 07777), 0);
    }
  }

  std::string path_;
  std::filesystem::path folder_;
  const std::function<void()>& write_;
  Folder before_;
};

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

Faults::Faults() { device = this; }
Faults::~Faults() { device = nullptr; }

void expect_whole_or_not_at_all(const std::string& path, const std::function<void()>& write) {
  std::int64_t bytes = 0;
  {
    const Faults faults;
    EXPECT_EQ(error_of(write), "no error");
    bytes = faults.bytes;
  }
  const std::string expected = read(path);
  EXPECT_GT(bytes, 0) << "it writes with other calls";
  EXPECT_GE(bytes, static_cast<std::int64_t>(expected.size())) << "it writes with other calls too";
  for (const std::size_t most_bytes : {1 + expected.size() / 50, std::size_t{4096}}) {
    Faults faults;
    faults.most_bytes = most_bytes;
    EXPECT_EQ(error_of(write), "no error");
    EXPECT_EQ(read(path), expected);
  }
  for (const bool older : {false, true}) {
    std::filesystem::remove(path);
    if (older) {
      std::ofstream(path) << "older";
      EXPECT_EQ(::chmod(path.c_str(), 0640), 0);
    }
    Trial trial(path, write);
    trial.every_call();
    trial.every_capacity(bytes);
    trial.every_limit(static_cast<std::int64_t>(expected.size()));
  }
}

}  // namespace gcvit::testing

extern "C" {

using gcvit::testing::device;
using gcvit::testing::fails;
using gcvit::testing::taken;

ssize_t __real_write(int, const void*, size_t);
ssize_t __real_pwrite(int, const void*, size_t, off_t);
int __real_fsync(int);
int __real_close(int);
int __real_linkat(int, const char*, int, const char*, int);
int __real_rename(const char*, const char*);
int __real_open(const char*, int, ...);

ssize_t __wrap_write(int descriptor, const void* bytes, size_t size) {
  if (device == nullptr) return __real_write(descriptor, bytes, size);
  const std::int64_t count = taken(descriptor, size);
  return count < 0 ? -1 : __real_write(descriptor, bytes, static_cast<std::size_t>(count));
}

ssize_t __wrap_pwrite(int descriptor, const void* bytes, size_t size, off_t offset) {
  if (device == nullptr) return __real_pwrite(descriptor, bytes, size, offset);
  const std::int64_t count = taken(descriptor, size);
  return count < 0 ? -1 : __real_pwrite(descriptor, bytes, static_cast<std::size_t>(count), offset);
}

int __wrap_fsync(int descriptor) {
  if (device != nullptr && device->written.contains(descriptor) && fails()) return -1;
  return __real_fsync(descriptor);
}

int __wrap_close(int descriptor) {
  const bool failing = device != nullptr && device->written.erase(descriptor) > 0 && fails();
  const int error = errno;
  const int result = __real_close(descriptor);
  if (failing) errno = error;
  return failing ? -1 : result;
}

int __wrap_linkat(int from, const char* old_path, int to, const char* new_path, int flags) {
  if (device != nullptr && fails()) return -1;
  return __real_linkat(from, old_path, to, new_path, flags);
}

int __wrap_rename(const char* from, const char* to) {
  if (device != nullptr && fails()) return -1;
  return __real_rename(from, to);
}

int __wrap_open(const char* path, int flags, ...) {
  mode_t mode = 0;
  if ((flags & (O_CREAT | O_TMPFILE)) != 0) {
    va_list arguments;
    va_start(arguments, flags);
    mode = va_arg(arguments, mode_t);
    va_end(arguments);
  }
  if (device != nullptr && device->without_unnamed && (flags & O_TMPFILE) == O_TMPFILE) {
    errno = EOPNOTSUPP;
    return -1;
  }
  return __real_open(path, flags, mode);
}

}  // extern "C"
