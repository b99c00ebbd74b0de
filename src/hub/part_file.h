// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace gcvit::hub {

/// A partial download: FILE.part, next to the file that it becomes, used by one process at a time. FILE.part.json next to it
/// says what it is a part of. Both are kept when the process ends early, so that the download can be resumed; an empty part
/// is removed. All errors are thrown as `Error`.
class PartFile {
 public:
  /// Opens or creates FILE.part and waits until no other process uses it; `on_wait` is called once if it has to wait.
  PartFile(const std::string& file, const std::function<void()>& on_wait);
  ~PartFile();
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  std::uint64_t size() const { return size_; }
  const std::string& path() const { return path_; }
  /// Identifies the server's version of the file, so that only that version is resumed: a strong ETag or a date. Empty when
  /// the part can't be resumed.
  const std::string& validator() const { return validator_; }
  const std::string& url() const { return url_; }
  /// Free space of the folder in bytes.
  std::uint64_t free_bytes() const;

  /// Discards the part and starts over with `url` in the version of `validator`.
  void start(const std::string& url, const std::string& validator);
  void append(std::span<const std::byte> bytes);
  /// Syncs the bytes to disk; returns the time of the last modification, in nanoseconds since 1970.
  std::int64_t sync();
  /// Renames the part to the file.
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
