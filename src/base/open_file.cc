// SPDX-License-Identifier: Apache-2.0
#include "base/open_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "base/error.h"
#include "base/resource_error.h"

namespace gcvit {
namespace {

constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NOCTTY;
constexpr std::size_t kStep = std::size_t{1} << 18;
constexpr int kPatience = 200;  // milliseconds

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

void expect_regular(const struct stat& status, std::string_view area, std::string_view name) {
  if (!S_ISREG(status.st_mode)) {
    fail("[{}] {}: expected a regular file, found {}", area, name, kind_of(status.st_mode));
  }
}

/// The number of this process's descriptor that a path names; -1 for other paths.
int own_descriptor(const std::string& path) {
  if (path == "/dev/stdin") return STDIN_FILENO;
  for (const std::string_view folder : {"/dev/fd/", "/proc/self/fd/"}) {
    if (!path.starts_with(folder) || path.size() > folder.size() + 4 || path.size() == folder.size()) continue;
    const std::string number = path.substr(folder.size());
    if (number.find_first_not_of("0123456789") == std::string::npos) return std::stoi(number);
  }
  return -1;
}

Descriptor open_stream(const std::string& path, std::string_view area) {
  // Not blocking, as opening a named pipe would otherwise wait where no signal is heard.
  const int opened = ::open(path.c_str(), kFlags | O_NONBLOCK);
  if (opened >= 0) return Descriptor(opened);
  const int error = errno;
  // Linux opens no socket by its path, not even one that is our own standard input.
  if (const int own = own_descriptor(path); error == ENXIO && own >= 0) {
    Descriptor copy(::fcntl(own, F_DUPFD_CLOEXEC, 0));
    if (copy.number() >= 0) return copy;
  }
  fail_to_read(area, path, error);
}

/// Returns once something can be read, or the end has been reached.
void wait_for(int descriptor, std::string_view area, std::string_view name,
              const std::function<void()>& while_waiting) {
  while (true) {
    struct pollfd polled = {descriptor, POLLIN, 0};
    const int ready = ::poll(&polled, 1, kPatience);
    if (ready > 0) return;
    if (ready < 0 && errno != EINTR) fail_to_read(area, name, errno);
    while_waiting();
  }
}

void read_pieces(int descriptor, std::string_view area, std::string_view name,
                 const std::function<void(std::string_view)>& take, const std::function<void()>& while_waiting) {
  std::array<char, std::size_t{1} << 16> piece;
  while (true) {
    wait_for(descriptor, area, name, while_waiting);
    const ssize_t count = ::read(descriptor, piece.data(), piece.size());
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count < 0) fail_to_read(area, name, errno);
    if (count == 0) return;
    take({piece.data(), static_cast<std::size_t>(count)});
  }
}

}  // namespace

Descriptor::~Descriptor() {
  if (number_ >= 0) ::close(number_);
}

bool is_url(std::string_view name) {
  const std::size_t end = name.find("://");
  if (end == std::string_view::npos || end == 0) return false;
  return std::ranges::all_of(name.substr(0, end),
                             [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
}

std::string_view found_instead(std::string_view missing) {
  return is_url(missing) ? "a URL: download it first" : "nothing";
}

void fail_to_read(std::string_view area, std::string_view name, int error) {
  if (is_url(name)) {
    fail(ErrorCode::kNotFound, "[{}] {}: expected a file, found a URL: download it first, and name the file", area,
         name);
  }
  if (error == ENOENT || error == ENOTDIR) fail(ErrorCode::kNotFound, "[{}] {}: no such file", area, name);
  const std::string sentence =
      fmt::format("[{}] {}: can't be read: {}", area, name, std::generic_category().message(error));
  if (error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS) throw ResourceError(sentence);
  throw Error(ErrorCode::kIo, sentence);
}

RegularFile open_regular_file(const std::string& path, std::string_view area, std::string_view name) {
  if (name.empty()) name = path;
  struct stat status{};
  // Looked at before it is opened, as opening alone wakes who waits at a pipe's other end or sets a device going.
  if (::stat(path.c_str(), &status) != 0) fail_to_read(area, name, errno);
  expect_regular(status, area, name);
  int opened = ::open(path.c_str(), kFlags | O_NONBLOCK);
  // Another process has a lease on the file, which it gives back when it is asked in earnest.
  if (opened < 0 && errno == EWOULDBLOCK) opened = ::open(path.c_str(), kFlags);
  if (opened < 0) fail_to_read(area, name, errno);
  RegularFile file{Descriptor(opened)};
  if (::fstat(opened, &status) != 0) fail_to_read(area, name, errno);
  expect_regular(status, area, name);
  file.size = static_cast<std::uint64_t>(status.st_size);
  return file;
}

std::size_t read_at(const RegularFile& file, std::uint64_t offset, std::span<std::byte> bytes, std::string_view area,
                    std::string_view name) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count =
        ::pread(file.descriptor.number(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_to_read(area, name, errno);
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

std::vector<std::byte> read_regular_file(const std::string& path, std::string_view area, std::uint64_t most_bytes,
                                         std::string_view name) {
  if (name.empty()) name = path;
  const RegularFile file = open_regular_file(path, area, name);
  const auto check_size = [&](std::uint64_t size) {
    if (size > most_bytes) fail("[{}] {}: expected at most {} bytes, found {}", area, name, most_bytes, size);
  };
  check_size(file.size);
  // One byte more than it has shows its end at the first try; some files of the system don't tell their size.
  std::vector<std::byte> bytes(static_cast<std::size_t>(file.size) + 1);
  std::size_t size = 0;
  while (true) {
    if (size == bytes.size()) bytes.resize(size + std::max(size / 2, kStep));
    const ssize_t count = ::read(file.descriptor.number(), bytes.data() + size, bytes.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_to_read(area, fmt::format("{}: byte {}", name, size), errno);
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
    check_size(size);
  }
  bytes.resize(size);
  return bytes;
}

std::string read_regular_text(const std::string& path, std::string_view area, std::uint64_t most_bytes) {
  const std::vector<std::byte> bytes = read_regular_file(path, area, most_bytes);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void read_regular_pieces(const std::string& path, std::string_view area,
                         const std::function<void(std::string_view)>& take) {
  const RegularFile file = open_regular_file(path, area);
  read_pieces(file.descriptor.number(), area, path, take, [] {});
}

void read_stream(const std::string& path, std::string_view area, const std::function<void(std::string_view)>& take,
                 const std::function<void()>& while_waiting) {
  const Descriptor stream = open_stream(path, area);
  read_pieces(stream.number(), area, path, take, while_waiting);
}

}  // namespace gcvit
