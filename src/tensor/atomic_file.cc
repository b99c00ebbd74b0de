// SPDX-License-Identifier: Apache-2.0
#include "tensor/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "tensor/error.h"

namespace gcvit {
namespace {

std::string system_message() { return std::generic_category().message(errno); }

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

int create_beside(const std::string& path, std::string& temporary) {
  static std::atomic<unsigned> counter{0};
  while (true) {
    temporary = fmt::format("{}.{}.{}.part", path, getpid(), counter++);
    const int descriptor = ::open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0 || errno != EEXIST) return descriptor;
  }
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path) : path_(path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    fail("[file] {}: expected a file to write, found a {}", path, S_ISDIR(status.st_mode) ? "directory" : "device");
  }
  descriptor_ = create_beside(path, temporary_);
  if (descriptor_ < 0) fail("[file] {}: can't be written: {}", path, system_message());
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("[file] {}: can't be written: {}", path_, system_message());
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void AtomicFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("[file] {}: can't be written: {}", path_, system_message());
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
}

void AtomicFile::commit() {
  // By name: a library that wrote to `temporary_path()` may have put another file there.
  const int written = ::open(temporary_.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = written >= 0 && ::fsync(written) == 0;
  if (written >= 0) ::close(written);
  if (!synced || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    fail("[file] {}: can't be written: {}", path_, system_message());
  }
  ::close(descriptor_);
  descriptor_ = -1;
  // The rename itself lasts only when the folder is on disk. Some file systems can't sync folders; the file is whole
  // all the same, so that is no error.
  const int folder = ::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    (void)::fsync(folder);
    ::close(folder);
  }
}

}  // namespace gcvit
