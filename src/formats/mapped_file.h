// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace gcvit::formats {

/// A file's bytes, mapped read-only. Tensors that view it hold it by `shared_ptr`. A file that is replaced by rename
/// keeps its old bytes here; one that is cut short in place while mapped must not be read any more.
class MappedFile {
 public:
  /// Throws `Error` ("[area] path: ...") when the path is missing, no regular file, empty or not readable.
  static std::shared_ptr<const MappedFile> open(const std::string& path, std::string_view area);
  /// The same of an open file, which may be closed afterwards; `path` stands for it in errors.
  static std::shared_ptr<const MappedFile> of(int descriptor, const std::string& path, std::string_view area);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }
  /// Gives the memory of the pages that lie wholly in `part` back to the system; does nothing where `part` is no piece of this
  /// mapping. Its bytes can still be read: they come from the file again.
  void drop_pages(std::span<const std::byte> part) const;
  /// The same of all pages that have been read: what parsing a file leaves in memory.
  void drop_pages() const { drop_pages(bytes_); }

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::span<const std::byte> bytes_;
};

}  // namespace gcvit::formats
