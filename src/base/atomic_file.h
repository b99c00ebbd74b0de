// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace gcvit {

/// Writes a file that others see whole or not at all: a temporary beside it, fsync, rename. Without `commit()` the
/// temporary is removed and an older file of that name stays as it was. Where the file system can, the temporary has no
/// name until `commit()`, so that a killed process leaves nothing either. All errors are thrown as `Error`.
///
/// A symbolic link stays, and the file that it names is the one written, there or not. An older file's permissions stay,
/// and its owner and group where the system allows it; a new file's permissions follow the umask.
class AtomicFile {
 public:
  /// Opens the temporary. Throws when the folder is missing or not writable, and when `path` exists and is not a
  /// regular file or is write-protected.
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// Writes at a byte of the file, e.g. a header whose contents are known at the end. Appending isn't moved by it.
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
  /// Makes the file visible under its name. Nothing can be written any more.
  void commit();
  /// The same under a name that must be free: false when something has it by now, which stays as it is. The object can't be used
  /// any more either way.
  bool commit_new();

  /// The temporary, open for reading too, until `commit()`.
  int descriptor() const { return descriptor_; }

 private:
  /// What stays of the file that is replaced.
  struct Older {
    unsigned mode;
    unsigned owner;
    unsigned group;
  };

  void open_temporary();
  void name_temporary();
  bool take_free_name();
  void sync_folder() const;
  void restore(const Older& older) const;

  std::string path_;  ///< as the caller names it
  std::string target_;  ///< behind symbolic links
  std::string temporary_;  ///< empty while it has no name
  std::optional<Older> older_;
  int descriptor_ = -1;
};

/// Whether `name` is one that an AtomicFile of `file` gives its temporary; both without folders. A process that was
/// killed may have left such a file.
bool is_temporary_of(std::string_view name, std::string_view file);

}  // namespace gcvit
