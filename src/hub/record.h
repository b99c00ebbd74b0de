// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace gcvit::hub {

/// What was found out about a file when it was first downloaded. It lies beside the file as FILE.json, and whatever
/// comes under that name later must agree with it.
struct Record {
  std::string name;
  std::string url;
  std::uint64_t size = 0;
  std::string sha256;             ///< 64 lowercase digits
  std::int64_t modified_ns = -1;  ///< the file's time of last modification when its SHA-256 was last found right
};

/// Where the record of a file lies.
std::string record_path(const std::string& file);

/// The record of a file, none when there is none. Throws `Error` when what lies there isn't one.
std::optional<Record> read_record(const std::string& file);
void write_record(const std::string& file, const Record& record);

/// As text in JSON. `place` names it in the `Error` that a text which is no record ends in.
Record parse_record(const std::string& text, const std::string& place);
std::string to_text(const Record& record);

/// The first bytes of a small file, at most 64 KiB; none when there is no such file.
std::optional<std::string> read_small_file(const std::string& path);

}  // namespace gcvit::hub
