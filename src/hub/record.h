// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace gcvit::hub {

/// Size and hash of a file when it was first downloaded, stored next to it as FILE.json. Later downloads under that name must
/// match it.
struct Record {
  std::string name;
  std::string url;
  std::uint64_t size = 0;
  std::string sha256;  ///< 64 lowercase digits
  std::int64_t modified_ns = -1;  ///< the file's modification time when its SHA-256 was last verified
};

/// The path of a file's record.
std::string record_path(const std::string& file);

/// The record of a file, or nothing if there is none. Throws `Error` when the file there isn't a record.
std::optional<Record> read_record(const std::string& file);
void write_record(const std::string& file, const Record& record);

/// As text in JSON. `place` names it in the `Error` that a text which is no record ends in.
Record parse_record(const std::string& text, const std::string& place);
std::string to_text(const Record& record);

/// The first bytes of a small file, at most 64 KiB; nothing if there is no such file.
std::optional<std::string> read_small_file(const std::string& path);

}  // namespace gcvit::hub
