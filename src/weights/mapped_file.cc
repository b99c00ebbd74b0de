// SPDX-License-Identifier: Apache-2.0
#include "weights/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "tensor/error.h"

namespace gcvit::weights {
namespace {

struct Descriptor {
  int value;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path, std::string_view area) {
  // Not blocking, so that a named pipe nobody writes to is refused below instead of waited for.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.value < 0) {
    if (errno == ENOENT || errno == ENOTDIR) fail("[{}] {}: no such file", area, path);
    fail("[{}] {}: can't be read: {}", area, path, std::generic_category().message(errno));
  }
  return of(file.value, path, area);
}

std::shared_ptr<const MappedFile> MappedFile::of(int descriptor, const std::string& path, std::string_view area) {
  struct stat status{};
  if (::fstat(descriptor, &status) != 0) {
    fail("[{}] {}: can't be read: {}", area, path, std::generic_category().message(errno));
  }
  if (S_ISDIR(status.st_mode)) fail("[{}] {}: expected a file, found a directory", area, path);
  if (!S_ISREG(status.st_mode)) fail("[{}] {}: expected a file, found a device or pipe", area, path);
  if (status.st_size == 0) fail("[{}] {}: the file is empty", area, path);
  const auto size = static_cast<std::size_t>(status.st_size);
  void* const data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (data == MAP_FAILED) fail("[{}] {}: can't be read: {}", area, path, std::generic_category().message(errno));
  return std::shared_ptr<const MappedFile>(new MappedFile({static_cast<const std::byte*>(data), size}));
}

MappedFile::~MappedFile() { ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size()); }

}  // namespace gcvit::weights
