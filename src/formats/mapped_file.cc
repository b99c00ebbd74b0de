// SPDX-License-Identifier: Apache-2.0
#include "formats/mapped_file.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "base/error.h"
#include "base/open_file.h"

namespace gcvit::formats {
std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path, std::string_view area) {
  return of(open_regular_file(path, area).descriptor.number(), path, area);
}

std::shared_ptr<const MappedFile> MappedFile::of(int descriptor, const std::string& path, std::string_view area) {
  struct stat status{};
  if (::fstat(descriptor, &status) != 0) fail_to_read(area, path, errno);
  if (!S_ISREG(status.st_mode)) fail("[{}] {}: expected a regular file", area, path);
  if (status.st_size == 0) fail("[{}] {}: the file is empty", area, path);
  const auto size = static_cast<std::size_t>(status.st_size);
  void* const data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (data == MAP_FAILED) fail_to_read(area, path, errno);
  return std::shared_ptr<const MappedFile>(new MappedFile({static_cast<const std::byte*>(data), size}));
}

void MappedFile::drop_pages(std::span<const std::byte> part) const {
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes_.data());
  const auto first = reinterpret_cast<std::uintptr_t>(part.data());
  if (first < begin || first + part.size() > begin + bytes_.size()) return;
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const std::uintptr_t from = (first + page - 1) / page * page;
  const std::uintptr_t to = (first + part.size()) / page * page;
  // The mapping is read-only, so nothing can be lost; that it may fail changes nothing but memory.
  if (from < to) static_cast<void>(::madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED));
}

MappedFile::~MappedFile() { ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size()); }

}  // namespace gcvit::formats
