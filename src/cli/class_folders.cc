// SPDX-License-Identifier: Apache-2.0
#include "cli/class_folders.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/atomic_file.h"
#include "base/counted.h"
#include "base/error.h"
#include "base/open_file.h"
#include "base/printable.h"
#include "cli/answers.h"

namespace gcvit::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestName = 100;
constexpr std::size_t kShownFolders = 12;

std::string folder_name(std::string_view class_name) {
  std::string name = printable(class_name);
  for (char& letter : name) {
    if (std::string_view("/\\:*?\"<>|").find(letter) != std::string_view::npos) letter = '_';
  }
  name = shortened(name, kLongestName);
  while (!name.empty() && (name.back() == ' ' || name.back() == '.')) name.pop_back();
  if (name.empty()) return "_";
  if (name.front() == '.') name.front() = '_';
  return name;
}

[[noreturn]] void fail_to_put(const std::string& photo, const std::string& target, const std::string& reason) {
  fail(ErrorCode::kIo, "[sort] {}: can't be put at {}: {}", photo, target, reason);
}

bool same_bytes(const RegularFile& a, const std::string& a_name, const RegularFile& b, const std::string& b_name) {
  if (a.size != b.size) return false;
  std::array<std::byte, 1 << 16> left;
  std::array<std::byte, 1 << 16> right;
  for (std::uint64_t at = 0; at < a.size;) {
    const std::size_t got = read_at(a, at, left, "sort", a_name);
    const std::size_t other = read_at(b, at, right, "sort", b_name);
    if (got != other || got == 0) return got == other;
    if (!std::equal(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(got), right.begin())) return false;
    at += got;
  }
  return true;
}

bool is_same_file(const std::string& photo, const std::string& target) {
  std::error_code error;
  return fs::equivalent(photo, target, error) && !error;
}

bool is_copy(const std::string& photo, const std::string& target) {
  std::error_code error;
  return fs::is_regular_file(target, error) &&
         same_bytes(open_regular_file(photo, "sort"), photo, open_regular_file(target, "sort"), target);
}

/// "rose.jpg", "rose-2.jpg", "rose-3.jpg", ...
std::string numbered(const fs::path& name, int number) {
  if (number == 1) return name.string();
  return fmt::format("{}-{}{}", name.stem().string(), number, name.extension().string());
}

}  // namespace

std::vector<std::string> folder_names(std::span<const std::string> classes, const std::string& reserved) {
  std::vector<std::string> names;
  std::map<std::string, int> uses = {{reserved, 1}};
  for (const std::string& one : classes) {
    names.push_back(folder_name(one));
    ++uses[names.back()];
  }
  std::unordered_set<std::string> taken = {reserved};
  for (const auto& [name, count] : uses) taken.insert(name);
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (uses[names[i]] == 1) continue;
    std::string name = names[i];
    do name += fmt::format("-{}", i);
    while (!taken.insert(name).second);
    names[i] = std::move(name);
  }
  return names;
}

ClassFolders::ClassFolders(std::string root, SortMode mode, std::span<const std::string> classes)
    : root_(std::move(root)), mode_(mode), names_(folder_names(classes, kUnsure)) {
  std::error_code error;
  if (fs::exists(root_, error) && !fs::is_directory(root_, error)) {
    fail(ErrorCode::kIo, "[sort] {}: expected a folder, found a file", root_);
  }
}

void ClassFolders::put(const std::string& photo, std::optional<std::int32_t> label) {
  const std::string& name = label ? names_.at(static_cast<std::size_t>(*label)) : kUnsure;
  const fs::path folder = fs::path(root_) / name;
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail(ErrorCode::kIo, "[sort] {}: can't be made: {}", folder.string(), error.message());
  for (int number = 1;; ++number) {
    const std::string target = (folder / numbered(fs::path(photo).filename(), number)).string();
    if (put_as(photo, target)) break;
  }
  ++counts_[name];
}

/// False when another photo has that name.
bool ClassFolders::put_as(const std::string& photo, const std::string& target) {
  std::error_code error;
  if (fs::exists(fs::symlink_status(target, error))) {
    // What this run has put there is another photo, even with the same bytes.
    if (!is_same_file(photo, target) && (placed_.contains(target) || !is_copy(photo, target))) return false;
    ++before_;
  } else if (!(mode_ == SortMode::kCopy ? copy(photo, target) : link(photo, target))) {
    return false;
  }
  placed_.insert(target);
  return true;
}

bool ClassFolders::copy(const std::string& photo, const std::string& target) const {
  AtomicFile file(target);
  read_regular_pieces(photo, "sort", [&](std::string_view piece) { file.write(piece); });
  struct stat status{};
  if (::stat(photo.c_str(), &status) == 0) {
    const std::array<timespec, 2> times = {status.st_atim, status.st_mtim};
    (void)::futimens(file.descriptor(), times.data());  // a file system without times has none to keep
  }
  return file.commit_new();
}

bool ClassFolders::link(const std::string& photo, const std::string& target) const {
  std::error_code error;
  const std::string source = fs::absolute(photo, error).string();
  const int result = mode_ == SortMode::kSymlink
                         ? ::symlink(source.c_str(), target.c_str())
                         : ::linkat(AT_FDCWD, source.c_str(), AT_FDCWD, target.c_str(), AT_SYMLINK_FOLLOW);
  if (result == 0) return true;
  if (errno == EEXIST) return false;
  const std::string reason = std::generic_category().message(errno);
  fail_to_put(photo, target, errno == EXDEV ? reason + ", where only --sort-mode copy or symlink work" : reason);
}

std::string ClassFolders::summary() const {
  std::size_t photos = 0;
  std::string folders;
  for (const auto& [name, count] : counts_) {
    photos += count;
    folders += fmt::format("{}{} {}", folders.empty() ? ": " : ", ", name, count);
  }
  if (counts_.size() > kShownFolders) folders.clear();
  const std::string_view how = mode_ == SortMode::kCopy ? "copied" : "linked";
  return fmt::format("{}: {} {} to {}{}{}", root_, counted(photos, "photo"), how, counted(counts_.size(), "folder"),
                     folders, before_ > 0 ? fmt::format("; {} of them there already", before_) : "");
}

}  // namespace gcvit::cli
