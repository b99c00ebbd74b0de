// SPDX-License-Identifier: Apache-2.0
#include "base/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/write_all.h"

namespace gcvit {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLinks = 40;  // as Linux
constexpr std::string_view kEnding = ".part";

std::string folder_of(const std::string& path) {
  const std::string folder = fs::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

std::string_view kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "directory";
  if (S_ISFIFO(mode)) return "pipe";
  return S_ISSOCK(mode) ? "socket" : "device";
}

/// The file that symbolic links lead to, which need not be there.
std::string behind_links(const std::string& path) {
  std::string target = path;
  for (int links = 0; links <= kMostLinks; ++links) {
    struct stat status{};
    if (::lstat(target.c_str(), &status) != 0 || !S_ISLNK(status.st_mode)) return target;
    std::error_code error;
    const fs::path link = fs::read_symlink(target, error);
    if (error) fail(ErrorCode::kIo, "[file] {}: can't be written: {}", path, error.message());
    target = (fs::path(target).parent_path() / link).string();
  }
  errno = ELOOP;
  fail_to_write(path);
}

bool is_digit(char letter) { return letter >= '0' && letter <= '9'; }

/// Takes ".NUMBER" off the text's end.
bool take_number(std::string_view& text) {
  const std::string_view before = text;
  while (!text.empty() && is_digit(text.back())) text.remove_suffix(1);
  if (text.size() == before.size() || !text.ends_with('.')) return false;
  text.remove_suffix(1);
  return true;
}

/// What is left of a name when so many bytes are to go: whole characters, as some file systems demand.
std::string_view shortened(std::string_view name, std::size_t by) {
  std::size_t size = name.size() - std::min(by, name.size());
  while (size > 0 && (name[size] & 0xc0) == 0x80) --size;
  return name.substr(0, size);
}

/// Tries names beside the file until `create(name)` returns no error, or one that another name wouldn't mend. A name
/// that gets too long by the ending loses its own last letters.
template <typename Create>
bool create_beside(const std::string& target, std::string& temporary, Create create) {
  static std::atomic<unsigned> counter{0};
  const std::size_t folder = target.rfind('/') + 1;  // 0 when there is none
  bool too_long = false;
  while (true) {
    const std::string ending = fmt::format(".{}.{}{}", getpid(), counter++, kEnding);
    std::string_view name = std::string_view(target).substr(folder);
    if (too_long) name = shortened(name, ending.size());
    temporary = target.substr(0, folder).append(name).append(ending);
    if (create(temporary)) return true;
    if (errno == ENAMETOOLONG && !too_long) {
      too_long = true;
    } else if (errno != EEXIST) {
      return false;
    }
  }
}

/// The link to an open file by which it can be given a name.
std::string link_to(int descriptor) { return fmt::format("/proc/self/fd/{}", descriptor); }

}  // namespace

AtomicFile::AtomicFile(const std::string& path) : path_(path), target_(behind_links(path)) {
  struct stat status{};
  if (::stat(path.c_str(), &status) == 0) {
    if (!S_ISREG(status.st_mode)) {
      fail("[file] {}: expected a file to write, found a {}", path, kind_of(status.st_mode));
    }
    // A rename would replace a file that its owner has protected.
    if (::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) != 0) fail_to_write(path_);
    // An open file that /dev/stdout and its like lead to may have lost its name. Whether it is the same file isn't asked:
    // another process may just have written it anew.
    if (::access(target_.c_str(), F_OK) != 0) {
      fail("[file] {}: expected a file to write, found one without a name", path);
    }
    older_ = Older{status.st_mode, status.st_uid, status.st_gid};
  } else if (errno != ENOENT) {
    fail_to_write(path_);
  }
  open_temporary();
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::open_temporary() {
  if (target_.empty() || target_.ends_with('/')) {
    errno = target_.empty() ? ENOENT : EISDIR;
    fail_to_write(path_);
  }
  // What is to replace a private file is private from the start.
  const mode_t mode = older_ ? 0600 : 0666;
  descriptor_ = ::open(folder_of(target_).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
  if (descriptor_ >= 0) {
    if (::access(link_to(descriptor_).c_str(), F_OK) == 0) return;
    ::close(std::exchange(descriptor_, -1));  // no /proc: it would never get a name
  }
  std::string name;
  const bool created = create_beside(target_, name, [&](const std::string& temporary) {
    descriptor_ = ::open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    return descriptor_ >= 0;
  });
  if (!created) fail_to_write(path_);
  temporary_ = name;
}

void AtomicFile::write(std::span<const std::byte> bytes) { write_all(descriptor_, bytes, path_); }

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void AtomicFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  write_all_at(descriptor_, offset, bytes, path_);
}

/// File systems without permissions refuse, which is no error. What can't be kept gives nobody more than they had.
void AtomicFile::restore(const Older& older) const {
  struct stat status{};
  if (::fstat(descriptor_, &status) != 0) return;
  unsigned mode = older.mode & 07777;
  if (older.owner != status.st_uid && ::fchown(descriptor_, older.owner, static_cast<gid_t>(-1)) != 0) {
    mode &= ~static_cast<unsigned>(S_ISUID);
  }
  if (older.group != status.st_gid && ::fchown(descriptor_, static_cast<uid_t>(-1), older.group) != 0) {
    mode = (mode & 0707) | (mode & 07) << 3;  // another group may do what everybody may
  }
  (void)::fchmod(descriptor_, mode);
}

void AtomicFile::name_temporary() {
  const std::string file = link_to(descriptor_);
  std::string name;
  const bool linked = create_beside(target_, name, [&](const std::string& temporary) {
    return ::linkat(AT_FDCWD, file.c_str(), AT_FDCWD, temporary.c_str(), AT_SYMLINK_FOLLOW) == 0;
  });
  if (!linked) fail_to_write(path_);
  temporary_ = name;
}

void AtomicFile::commit() {
  if (older_) restore(*older_);
  sync_file(descriptor_, path_);
  if (temporary_.empty()) name_temporary();
  if (::close(std::exchange(descriptor_, -1)) != 0 && errno != EINTR) fail_to_write(path_);
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail_to_write(path_);
  temporary_.clear();
  sync_folder();
}

bool AtomicFile::commit_new() {
  sync_file(descriptor_, path_);
  const bool free = take_free_name();
  if (::close(std::exchange(descriptor_, -1)) != 0 && errno != EINTR) fail_to_write(path_);
  if (free) sync_folder();
  return free;
}

/// Gives the file its name unless something has it.
bool AtomicFile::take_free_name() {
  if (temporary_.empty()) {
    if (::linkat(AT_FDCWD, link_to(descriptor_).c_str(), AT_FDCWD, target_.c_str(), AT_SYMLINK_FOLLOW) == 0)
      return true;
  } else {
    bool named = ::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, target_.c_str(), RENAME_NOREPLACE) == 0;
    if (named) temporary_.clear();
    // A file system that can't do that may have hard links. The temporary's own name goes when the object does.
    if (!named && (errno == EINVAL || errno == ENOSYS)) named = ::link(temporary_.c_str(), target_.c_str()) == 0;
    if (named) return true;
  }
  if (errno != EEXIST) fail_to_write(path_);
  return false;
}

void AtomicFile::sync_folder() const {
  // The rename itself lasts only when the folder is on disk. Some file systems can't sync folders; the file is whole
  // all the same, so that is no error.
  const int folder = ::open(folder_of(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    (void)::fsync(folder);
    ::close(folder);
  }
}

bool is_temporary_of(std::string_view name, std::string_view file) {
  if (!name.ends_with(kEnding)) return false;
  const std::size_t size = name.size();
  name.remove_suffix(kEnding.size());
  if (!take_number(name) || !take_number(name)) return false;
  return name == file || (!name.empty() && name == shortened(file, size - name.size()));
}

}  // namespace gcvit
