// SPDX-License-Identifier: Apache-2.0
#include "hub/cache.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "hub/page.h"
#include "hub/record.h"
#include "base/error.h"
#include "digest/sha256.h"

namespace gcvit::hub {
namespace {

namespace fs = std::filesystem;

/// The variable's value, empty when it isn't set.
std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

struct FileState {
  std::uint64_t size;
  std::int64_t modified_ns;
};

std::optional<FileState> state_of(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    fail("[file] {}: can't be read: {}", path, std::generic_category().message(errno));
  }
  if (!S_ISREG(status.st_mode)) fail("[pull] {}: expected a file, found a folder or device", path);
  return FileState{static_cast<std::uint64_t>(status.st_size),
                   std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

[[noreturn]] void fail_as_changed(const std::string& path, const std::string& expected, const std::string& found) {
  fail("[pull] {}: expected {} as it was downloaded, found {}; remove it and pull it again", path, expected, found);
}

void check_size(const std::string& path, const Record& record, const FileState& state) {
  if (state.size == record.size) return;
  fail_as_changed(path, fmt::format("{} bytes", record.size), fmt::format("{}", state.size));
}

void check_sha256(const std::string& path, const Record& record) {
  const std::string found = sha256_of_file(path);
  if (found != record.sha256) fail_as_changed(path, "SHA-256 " + record.sha256, found);
}

/// A file that a person has put where a pull would have, checked by what is published, and recorded.
Pulled adopt(const OfficialFile& file, const std::string& path, const FileState& state, const Listener& listener) {
  const auto refuse = [&](std::string_view expected, std::string_view found) {
    fail("[pull] {}: expected {} as it is published, found {}; no pull has put it there: move it away", path, expected,
         found);
  };
  if (file.size != 0 && file.size != state.size) {
    refuse(fmt::format("{} bytes", file.size), fmt::format("{}", state.size));
  }
  if (state.size == 0) refuse("a weight file", "an empty file");
  if (const std::string page = page_in_place_of_file(path); !page.empty()) refuse("a weight file", page);
  const std::string sha256 = sha256_of_file(path);
  if (!sha256.starts_with(file.sha256)) refuse(fmt::format("SHA-256 {}...", file.sha256), sha256);
  if (file.sha256.empty()) {
    listener.notice(
        fmt::format("[pull] {}: was put there by hand; its SHA-256 isn't published, so it is trusted as it is", path));
  }
  write_record(path, {file.name, file.url, state.size, sha256, state.modified_ns});
  return Pulled{path, state.size, sha256, false};
}

}  // namespace

std::string cache_folder() {
  if (const std::string folder = environment("GCVIT_CACHE"); !folder.empty()) return folder;
  // The specification says that a relative XDG_CACHE_HOME is ignored.
  if (const std::string folder = environment("XDG_CACHE_HOME"); folder.starts_with('/')) {
    return (fs::path(folder) / "gcvit").string();
  }
  const std::string home = environment("HOME");
  if (home.empty()) fail("[pull] no folder for downloads: expected HOME, XDG_CACHE_HOME or GCVIT_CACHE to be set");
  return (fs::path(home) / ".cache/gcvit").string();
}

std::string path_in(const std::string& folder, const OfficialFile& file) {
  return (fs::path(folder) / file.file_name).string();
}

std::string path_in_cache(const OfficialFile& file) { return path_in(cache_folder(), file); }

std::optional<std::string> find_in_cache(const OfficialFile& file) {
  const std::string path = path_in(cache_folder(), file);
  const std::optional<FileState> state = state_of(path);
  const std::optional<Record> record = state ? read_record(path) : std::nullopt;
  if (!record) return std::nullopt;
  check_size(path, *record, *state);
  if (state->modified_ns != record->modified_ns) check_sha256(path, *record);
  return path;
}

std::optional<Pulled> check_pulled(const OfficialFile& file, const std::string& folder, const Listener& listener) {
  const std::string path = path_in(folder, file);
  const std::optional<FileState> state = state_of(path);
  if (!state) return std::nullopt;
  std::optional<Record> record = read_record(path);
  if (!record) return adopt(file, path, *state, listener);
  check_size(path, *record, *state);
  check_sha256(path, *record);
  if (record->modified_ns != state->modified_ns) {
    record->modified_ns = state->modified_ns;
    write_record(path, *record);
  }
  return Pulled{path, record->size, record->sha256, false};
}

}  // namespace gcvit::hub
