// SPDX-License-Identifier: Apache-2.0
#include "base/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/write_all.h"

namespace gcvit {

AppendFile::AppendFile(const std::string& path) : path_(path) {
  descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_to_write(path_);
}

AppendFile::~AppendFile() { ::close(descriptor_); }

void AppendFile::append(std::span<const std::byte> bytes) {
  struct stat before{};
  if (::fstat(descriptor_, &before) != 0) fail_to_write(path_);
  try {
    write_all(descriptor_, bytes, path_);
  } catch (const Error&) {
    (void)!::ftruncate(descriptor_, before.st_size);  // the error that is thrown says enough
    throw;
  }
}

void AppendFile::sync() { sync_file(descriptor_, path_); }

}  // namespace gcvit
