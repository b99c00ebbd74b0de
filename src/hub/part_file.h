// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace gcvit::hub {

/// The part of a file that has come so far: FILE.part, beside the file that it becomes, for one process at a time.
/// Beside it lies FILE.part.json, which says what it is a part of. Both stay when the process ends early, for another
/// to go on with; an empty one goes. All errors are thrown as `Error`.
class PartFile {
 public:
  /// Opens or creates FILE.part and waits until no other process has it, which `on_wait` (called once) may tell.
  PartFile(const std::string& file, const std::function<void()>& on_wait);
  ~PartFile();
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  std::uint64_t size() const { return size_; }
  const std::string& path() const { return path_; }
  /// What tells the server's version of the file whose part this is, to go on with that version alone: a strong ETag
  /// or a date. Empty when the part can't be gone on with.
  const std::string& validator() const { return validator_; }
  const std::string& url() const { return url_; }
  /// Bytes that the folder has room for.
  std::uint64_t free_bytes() const;

  /// Throws away what has come, for that of `url` in the version of `validator`.
  void start(const std::string& url, const std::string& validator);
  void append(std::span<const std::byte> bytes);
  /// Makes the bytes last; returns the time of the last modification, in nanoseconds since 1970.
  std::int64_t sync();
  /// Gives the part the file's name.
  void publish();
  /// Removes it.
  void discard();

 private:
  bool open_and_lock(const std::function<void()>& on_wait);
  void read_origin();

  std::string file_;
  std::string path_;
  std::string origin_path_;
  std::string url_;
  std::string validator_;
  std::uint64_t size_ = 0;
  int descriptor_ = -1;
};

}  // namespace gcvit::hub
