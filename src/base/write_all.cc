// SPDX-License-Identifier: Apache-2.0
#include "base/write_all.h"

#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "base/error.h"

namespace gcvit {
namespace {

/// `write_some(bytes, done)` writes from byte `done` on and returns how many bytes went, or -1 with errno.
template <typename WriteSome>
void write_pieces(std::span<const std::byte> bytes, const std::string& path, WriteSome write_some) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t written = write_some(bytes.subspan(done), done);
    if (written < 0 && errno == EINTR) continue;
    if (written == 0) errno = EIO;  // a file system that takes nothing and says nothing would be asked for ever
    if (written <= 0) fail_to_write(path);
    done += static_cast<std::size_t>(written);
  }
}

}  // namespace

void fail_to_write(const std::string& path) {
  fail(ErrorCode::kIo, "[file] {}: can't be written: {}", path, std::generic_category().message(errno));
}

void write_all(int descriptor, std::span<const std::byte> bytes, const std::string& path) {
  write_pieces(bytes, path, [&](std::span<const std::byte> rest, std::size_t) {
    return ::write(descriptor, rest.data(), rest.size());
  });
}

void write_all_at(int descriptor, std::uint64_t offset, std::span<const std::byte> bytes, const std::string& path) {
  write_pieces(bytes, path, [&](std::span<const std::byte> rest, std::size_t done) {
    return ::pwrite(descriptor, rest.data(), rest.size(), static_cast<off_t>(offset + done));
  });
}

void sync_file(int descriptor, const std::string& path) {
  int result = ::fsync(descriptor);
  while (result != 0 && errno == EINTR) result = ::fsync(descriptor);
  if (result != 0) fail_to_write(path);
}

}  // namespace gcvit
