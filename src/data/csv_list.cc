// SPDX-License-Identifier: Apache-2.0
// A list of photos, their classes and perhaps their sides, as spreadsheets write it (RFC 4180).
#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>

#include "data/csv.h"
#include "data/listing.h"
#include "data/sources.h"
#include "tensor/error.h"
#include "tensor/open_file.h"

namespace gcvit::data {
namespace {

constexpr std::uint64_t kMaxListBytes = std::uint64_t{1} << 30;

std::string read_text(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) fail("[csv] {}: expected a list of photos, found nothing", path);
  return read_regular_text(path, "csv", kMaxListBytes);
}

/// Whether a line's third column says that the photo validates; nothing when it says neither.
std::optional<bool> side_of(std::string_view text) {
  const std::string side = lower_case(text);
  if (side == "train" || side == "training") return false;
  if (side == "val" || side == "valid" || side == "validation" || side == "test") return true;
  return std::nullopt;
}

/// The columns' places in a record.
struct Columns {
  std::size_t path = 0;
  std::size_t label = 1;
  std::size_t side = 2;
  std::size_t first_line = 0;  ///< 1 behind a header
};

/// A first line that names its columns may have them in any order and others between them.
Columns columns_of(const std::vector<CsvRecord>& records) {
  const auto place_of = [&](std::initializer_list<std::string_view> names) -> std::optional<std::size_t> {
    for (std::size_t i = 0; i < records[0].fields.size(); ++i) {
      const std::string field = lower_case(records[0].fields[i]);
      if (std::find(names.begin(), names.end(), field) != names.end()) return i;
    }
    return std::nullopt;
  };
  const auto path = place_of({"path", "file", "filename", "file_name", "filepath", "image", "image_path", "photo"});
  const auto label =
      place_of({"label", "labels", "class", "class_name", "label_name", "class_id", "category", "target"});
  if (!path || !label) return {};
  return {*path, *label, place_of({"split", "side", "set", "subset", "partition"}).value_or(std::string::npos), 1};
}

}  // namespace

PhotoSet read_csv_list(const std::string& path) { return photo_set_of_csv(read_text(path), path); }

PhotoSet photo_set_of_csv(std::string_view text, const std::string& path) {
  const std::vector<CsvRecord> records = parse_csv(text, path);
  if (records.empty()) fail("[csv] {}: expected lines of path and label, found none", path);
  const Columns columns = columns_of(records);
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();

  struct Row {
    Sample sample;
    std::string label;
    std::optional<bool> validates;
  };
  std::vector<Row> rows;
  bool any_side = false;
  for (const CsvRecord& record : std::span(records).subspan(columns.first_line)) {
    const std::vector<std::string>& fields = record.fields;
    if (fields.size() <= std::max(columns.path, columns.label)) {
      fail("[csv] {}: line {}: expected a path and a label, found {} columns", path, record.line, fields.size());
    }
    Row row;
    row.sample.name = fields[columns.path];
    row.label = fields[columns.label];
    if (row.sample.name.empty() || row.label.empty()) {
      fail("[csv] {}: line {}: expected a path and a label, found an empty one", path, record.line);
    }
    if (row.sample.name.find('\0') != std::string::npos) {
      fail("[csv] {}: line {}: expected a path, found a zero byte in it", path, record.line);
    }
    row.sample.file = (folder / row.sample.name).string();
    if (columns.side < fields.size() && !fields[columns.side].empty()) {
      row.validates = side_of(fields[columns.side]);
      if (!row.validates) {
        fail("[csv] {}: line {}: expected train or val in the third column, found \"{}\"", path, record.line,
             fields[columns.side]);
      }
      any_side = true;
    }
    rows.push_back(std::move(row));
  }
  if (rows.empty()) fail("[csv] {}: expected lines of path and label behind the header, found none", path);
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.sample.name < b.sample.name; });

  PhotoSet set;
  set.root = path;
  std::vector<std::string> labels;
  for (Row& row : rows) {
    labels.push_back(std::move(row.label));
    set.samples.push_back(std::move(row.sample));
    if (any_side) set.validates.push_back(row.validates.value_or(false));
  }
  label_samples(set, labels);
  return set;
}

}  // namespace gcvit::data
