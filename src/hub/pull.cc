// SPDX-License-Identifier: Apache-2.0
#include "hub/pull.h"

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <system_error>

#include "hub/part_file.h"
#include "hub/record.h"
#include "base/error.h"

namespace gcvit::hub {
namespace {

std::string url_of(const OfficialFile& file) {
  const char* const mirror = std::getenv("GCVIT_HUB_URL");
  if (mirror == nullptr || *mirror == '\0') return file.url;
  std::string base = mirror;
  if (!base.starts_with("http://") && !base.starts_with("https://")) {
    fail("[pull] GCVIT_HUB_URL: expected an address that starts with https:// or http://, found {}", base);
  }
  while (base.ends_with('/')) base.pop_back();
  return base + "/" + file.file_name;
}

/// What the file must match: the catalogue and, if it was downloaded before, the record of that.
Source source_of(const OfficialFile& file, const std::string& path) {
  Source source{url_of(file), file.size, file.sha256, "as it is published"};
  const std::optional<Record> record = read_record(path);
  if (!record) return source;
  if ((file.size != 0 && record->size != file.size) || !record->sha256.starts_with(file.sha256)) {
    fail("[pull] {}: expected the record of {}, found another; remove it to download anew", record_path(path),
         file.name);
  }
  source.size = record->size;
  source.sha256 = record->sha256;
  source.known_from = "as it was downloaded first, says " + record_path(path);
  return source;
}

}  // namespace

Pulled pull(const OfficialFile& file, const std::string& folder, const Listener& listener,
            const RetryPolicy& retry_policy) {
  const std::string path = path_in(folder, file);
  if (const std::optional<Pulled> pulled = check_pulled(file, folder, listener)) return *pulled;

  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail("[file] {}: can't be made: {}", folder, error.message());
  PartFile part(path, [&] { listener.notice(fmt::format("[pull] {}: waiting for another pull of it", path)); });
  // Perhaps there was a wait, and another process has done the work.
  if (const std::optional<Pulled> pulled = check_pulled(file, folder, listener)) return *pulled;

  const Source source = source_of(file, path);
  const std::string sha256 = download(source, part, retry_policy, listener);
  // The record first: a file without one would not be trusted, a record without its file only waits for it.
  const std::int64_t modified_ns = part.sync();
  const std::uint64_t size = part.size();
  write_record(path, {file.name, source.url, size, sha256, modified_ns});
  part.publish();
  return {path, size, sha256, true};
}

}  // namespace gcvit::hub
