// SPDX-License-Identifier: Apache-2.0
#include "hub/record.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "hub/catalogue.h"
#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json.h"
#include "base/open_file.h"

namespace gcvit::hub {
namespace {

constexpr std::size_t kMostRecordBytes = std::size_t{64} << 10;

bool is_sha256(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

std::string record_path(const std::string& file) { return file + ".json"; }

Record parse_record(const std::string& text, const std::string& place) {
  const auto bad = [&](const char* what) {
    fail("[pull] {}: expected the record of a download, found {}; remove it to download anew", place, what);
  };
  nlohmann::json json;
  try {
    json = parse_json(text, "pull", place);
  } catch (const Error&) {
    bad("something else");
  }
  if (!json.is_object()) bad("something else");
  const auto string = [&](const char* key) {
    const auto found = json.find(key);
    if (found == json.end() || !found->is_string()) bad(fmt::format("no text \"{}\" in it", key).c_str());
    return found->get<std::string>();
  };
  Record record;
  record.name = string("name");
  record.url = string("url");
  record.sha256 = string("sha256");
  const auto size = json.find("size");
  const auto modified = json.find("modified_ns");
  if (size == json.end() || !size->is_number_unsigned()) bad("no size in it");
  if (modified == json.end() || !modified->is_number_integer()) bad("no time in it");
  if (!is_sha256(record.sha256)) bad("no SHA-256 in it");
  record.size = size->get<std::uint64_t>();
  record.modified_ns = modified->get<std::int64_t>();
  return record;
}

std::string to_text(const Record& record) {
  nlohmann::ordered_json json;
  json["name"] = record.name;
  json["url"] = record.url;
  json["licence"] = kLicence;
  json["size"] = record.size;
  json["sha256"] = record.sha256;
  json["modified_ns"] = record.modified_ns;
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::optional<std::string> read_small_file(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0 && errno == ENOENT) return std::nullopt;
  const RegularFile file = open_regular_file(path, "file");
  std::string text(kMostRecordBytes, '\0');
  text.resize(read_at(file, 0, std::as_writable_bytes(std::span(text)), "file", path));
  return text;
}

std::optional<Record> read_record(const std::string& file) {
  const std::optional<std::string> text = read_small_file(record_path(file));
  if (!text) return std::nullopt;
  return parse_record(*text, record_path(file));
}

void write_record(const std::string& file, const Record& record) {
  AtomicFile json(record_path(file));
  json.write(to_text(record));
  json.commit();
}

}  // namespace gcvit::hub
