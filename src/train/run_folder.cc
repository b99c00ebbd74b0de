// SPDX-License-Identifier: Apache-2.0
#include "train/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <set>
#include <string_view>
#include <system_error>
#include <thread>

#include "base/atomic_file.h"
#include "base/error.h"

namespace gcvit::train {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kState = "state.safetensors";
constexpr std::string_view kLock = "lock";
constexpr std::array<std::string_view, 8> kFiles = {"config.json", "val.txt",          "log.csv",
                                                    "steps.csv",   "best.safetensors", "last.safetensors",
                                                    "curves.svg",  "report.html"};
constexpr std::string_view kEvents = "events.out.tfevents.";

std::string reason_of(int number) { return std::generic_category().message(number); }

/// The contents of a folder, sorted by name.
std::vector<fs::directory_entry> entries_of(const fs::path& folder, std::error_code& error) {
  std::vector<fs::directory_entry> entries;
  fs::directory_iterator iterator(folder, error);
  for (; !error && iterator != fs::directory_iterator(); iterator.increment(error)) entries.push_back(*iterator);
  std::ranges::sort(entries, {}, [](const fs::directory_entry& entry) { return entry.path(); });
  return entries;
}

bool is_plain_file(const fs::directory_entry& entry) {
  std::error_code error;
  return entry.symlink_status(error).type() == fs::file_type::regular;
}

/// A temporary of a file that a run writes itself.
bool is_half_written(const fs::directory_entry& entry) {
  const std::string name = entry.path().filename().string();
  const auto is_of = [&](std::string_view file) { return is_temporary_of(name, file); };
  return (is_of(kState) || std::ranges::any_of(kFiles, is_of)) && is_plain_file(entry);
}

void remove_half_written(const fs::path& folder) {
  std::error_code error;
  for (const fs::directory_entry& entry : entries_of(folder, error)) {
    if (is_half_written(entry)) fs::remove(entry.path(), error);
  }
}

/// Whether a folder is what `make` makes, and no more: that of a run which was killed before its first checkpoint.
bool is_unused_checkpoint(const fs::directory_entry& entry) {
  std::error_code error;
  if (entry.path().filename() != "checkpoint" || entry.symlink_status(error).type() != fs::file_type::directory) {
    return false;
  }
  const std::vector<fs::directory_entry> entries = entries_of(entry.path(), error);
  return !error && std::ranges::all_of(entries, [](const fs::directory_entry& inner) {
    return (inner.path().filename() == kLock && is_plain_file(inner)) || is_half_written(inner);
  });
}

/// Whether `path` is `folder` or below it; both are canonical.
bool is_inside(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first == folder.end();
}

/// The folders of a set of class folders, as the names of its photos have them.
std::set<std::string> folders_of(const data::ImageSet& set) {
  std::set<std::string> folders = {set.root};
  for (const data::Sample& sample : set.samples) {
    if (sample.size > 0) {
      folders.insert(fs::path(sample.file).parent_path().string());
      continue;
    }
    for (std::size_t slash = sample.name.find('/'); slash != std::string::npos;
         slash = sample.name.find('/', slash + 1)) {
      folders.insert((fs::path(set.root) / sample.name.substr(0, slash)).string());
    }
  }
  return folders;
}

}  // namespace

RunFolder::RunFolder(const std::string& path) : path_(path) {
  while (path_.size() > 1 && path_.ends_with('/')) path_.pop_back();
}

RunFolder::~RunFolder() {
  take_away();
  if (lock_ >= 0) ::close(lock_);
}

std::vector<std::string> RunFolder::missing_folders() const {
  const auto refuse = [&](std::string_view why) { fail("[train] {}: the folder can't be made: {}", path_, why); };
  std::vector<std::string> missing;
  fs::path existing;
  for (const fs::path& part : fs::path(path_)) {
    const fs::path next = existing / part;
    if (!missing.empty()) {
      if (part == "..") refuse("\"..\" stands behind a folder that is missing");
      if (part != "." && !part.empty()) missing.push_back(next.string());
      existing = next;
      continue;
    }
    std::error_code error;
    const fs::file_status status = fs::status(next, error);
    if (status.type() == fs::file_type::not_found) {
      if (fs::is_symlink(fs::symlink_status(next, error))) refuse(next.string() + " is a link to nothing");
      const std::string above = existing.empty() ? "." : existing.string();
      if (::access(above.c_str(), W_OK | X_OK) != 0) refuse(reason_of(errno));
      missing.push_back(next.string());
    } else if (error) {
      refuse(error.message());
    } else if (status.type() != fs::file_type::directory) {
      fail("[train] {}: expected a folder, found a file{}", path_, next == path_ ? "" : ": " + next.string());
    }
    existing = next;
  }
  return missing;
}

void RunFolder::check_empty() const {
  std::error_code error;
  const std::vector<fs::directory_entry> entries = entries_of(path_, error);
  if (error) fail("[train] {}: can't be read: {}", path_, error.message());
  for (const fs::directory_entry& entry : entries) {
    if (is_unused_checkpoint(entry)) continue;
    fail("[train] {}: expected a folder that is empty or missing, found {} in it, and no run", path_,
         entry.path().filename().string());
  }
}

void RunFolder::check_vacant() const {
  if (path_.empty()) fail("[train] --output: expected a folder, found an empty name");
  if (!missing_folders().empty()) return;
  if (holds_run(path_)) {
    fail("[train] {}: holds a run already: --resume goes on with it, another -o begins a new one", path_);
  }
  check_empty();
  if (::access(path_.c_str(), W_OK | X_OK) != 0) fail("[train] {}: can't be written: {}", path_, reason_of(errno));
}

void RunFolder::check_outside(const data::ImageSet& set) const {
  std::error_code error;
  if (!fs::is_directory(set.root, error)) return;  // a list or an archive names its photos one by one
  const fs::path own = fs::weakly_canonical(fs::absolute(path_), error);
  if (error) fail("[train] {}: can't be read: {}", path_, error.message());
  for (const std::string& folder : folders_of(set)) {
    const fs::path real = fs::canonical(folder, error);
    if (error || !is_inside(own, real)) continue;
    fail("[train] {}: expected a folder outside {}, whose photos the run trains on", path_, folder);
  }
}

void RunFolder::make_folder(const std::string& folder) {
  if (::mkdir(folder.c_str(), 0777) == 0) {
    made_folders_.push_back(folder);
  } else if (errno != EEXIST) {
    fail("[train] {}: the folder can't be made: {}", path_, reason_of(errno));
  }
}

void RunFolder::make() {
  for (const std::string& folder : missing_folders()) make_folder(folder);
  make_folder(*this / "checkpoint");
  lock();
  check_vacant();  // again: another process may have used the folder
  all_ours_ = true;
  clear_half_written();
}

void RunFolder::keep() {
  all_ours_ = false;
  made_folders_.clear();
}

void RunFolder::open() { lock(); }

void RunFolder::lock() {
  const std::string path = path_ + "/checkpoint/" + std::string(kLock);
  // A run that was killed holds it until the system has cleared it away.
  for (int tries = 0;; ++tries) {
    lock_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (lock_ < 0) fail("[train] {}: can't be written: {}", path_, reason_of(errno));
    if (::flock(lock_, LOCK_EX | LOCK_NB) == 0) {
      struct stat held{};
      struct stat named{};
      const bool same = ::fstat(lock_, &held) == 0 && ::stat(path.c_str(), &named) == 0 &&
                        held.st_ino == named.st_ino && held.st_dev == named.st_dev;
      if (same) return;
      ::close(lock_);  // that of a run which did not begin, and took it away
      continue;
    }
    const int reason = errno;
    ::close(lock_);
    lock_ = -1;
    if (reason != EWOULDBLOCK) return;  // a file system without locks
    if (tries >= 40) fail("[train] {}: another process trains in this folder", path_);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

void RunFolder::clear_half_written() const {
  remove_half_written(path_);
  remove_half_written(fs::path(path_) / "checkpoint");
}

void RunFolder::take_away() const {
  std::error_code error;
  if (all_ours_) {
    clear_half_written();
    for (const fs::directory_entry& entry : entries_of(path_, error)) {
      const std::string name = entry.path().filename().string();
      const bool own = std::ranges::find(kFiles, name) != kFiles.end() || name.starts_with(kEvents);
      if (own && is_plain_file(entry)) fs::remove(entry.path(), error);
    }
    fs::remove(checkpoint(), error);
    fs::remove(fs::path(path_) / "checkpoint" / kLock, error);
  }
  for (auto folder = made_folders_.rbegin(); folder != made_folders_.rend(); ++folder) ::rmdir(folder->c_str());
}

bool holds_run(const std::string& path) {
  std::error_code error;
  return fs::exists(fs::path(path) / "checkpoint" / kState, error);
}

}  // namespace gcvit::train
