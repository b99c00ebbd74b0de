// SPDX-License-Identifier: Apache-2.0
#include "hub/part_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "hub/record.h"
#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json.h"
#include "base/write_all.h"

namespace gcvit::hub {
namespace {

constexpr auto kLockPause = std::chrono::milliseconds(50);

}  // namespace

PartFile::PartFile(const std::string& file, const std::function<void()>& on_wait)
    : file_(file), path_(file + ".part"), origin_path_(path_ + ".json") {
  while (!open_and_lock(on_wait)) {
  }
  read_origin();
}

PartFile::~PartFile() {
  if (descriptor_ < 0) return;
  if (size_ == 0) {
    discard();
  } else {
    ::close(descriptor_);
  }
}

/// False when another process gave the part its final name or removed it while we waited for the lock.
bool PartFile::open_and_lock(const std::function<void()>& on_wait) {
  const int descriptor = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
  if (descriptor < 0) fail_to_write(path_);
  bool waited = false;
  while (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      ::close(descriptor);
      fail_to_write(path_);
    }
    if (!waited && on_wait) on_wait();
    waited = true;
    std::this_thread::sleep_for(kLockPause);
  }
  struct stat ours{};
  struct stat named{};
  const bool same = ::fstat(descriptor, &ours) == 0 && ::lstat(path_.c_str(), &named) == 0 &&
                    ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
  if (!same) {
    ::close(descriptor);
    return false;
  }
  if (!S_ISREG(ours.st_mode)) {
    ::close(descriptor);
    fail("[file] {}: expected a file to write, found a device", path_);
  }
  descriptor_ = descriptor;
  size_ = static_cast<std::uint64_t>(ours.st_size);
  return true;
}

/// A text that can't be parsed only means that the part can't be resumed.
void PartFile::read_origin() {
  const std::optional<std::string> origin = read_small_file(origin_path_);
  if (!origin) return;
  nlohmann::json json;
  try {
    json = parse_json(*origin, "pull", origin_path_);
  } catch (const Error&) {
    return;
  }
  const auto text = [&](const char* key) {
    return json.is_object() && json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : "";
  };
  url_ = text("url");
  validator_ = text("validator");
}

std::uint64_t PartFile::free_bytes() const {
  struct statvfs status{};
  if (::fstatvfs(descriptor_, &status) != 0) fail_to_write(path_);
  return std::uint64_t{status.f_bavail} * status.f_frsize;
}

void PartFile::start(const std::string& url, const std::string& validator) {
  // In this order the two never belong to different versions, wherever the process ends.
  ::unlink(origin_path_.c_str());
  if (::ftruncate(descriptor_, 0) != 0) fail_to_write(path_);
  size_ = 0;
  AtomicFile origin(origin_path_);
  origin.write(nlohmann::json{{"url", url}, {"validator", validator}}.dump(2, ' ', false,
                                                                           nlohmann::json::error_handler_t::replace) +
               "\n");
  origin.commit();
  url_ = url;
  validator_ = validator;
}

void PartFile::append(std::span<const std::byte> bytes) {
  write_all_at(descriptor_, size_, bytes, path_);
  size_ += bytes.size();
}

std::int64_t PartFile::sync() {
  sync_file(descriptor_, path_);
  struct stat status{};
  if (::fstat(descriptor_, &status) != 0) fail_to_write(path_);
  return std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
}

void PartFile::publish() {
  ::unlink(origin_path_.c_str());  // first: once the part is renamed, another process may begin its own
  if (::rename(path_.c_str(), file_.c_str()) != 0) fail_to_write(file_);
  ::close(descriptor_);
  descriptor_ = -1;
}

void PartFile::discard() {
  ::unlink(origin_path_.c_str());
  ::unlink(path_.c_str());
  ::close(descriptor_);
  descriptor_ = -1;
}

}  // namespace gcvit::hub
