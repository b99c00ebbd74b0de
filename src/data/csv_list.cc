// SPDX-License-Identifier: Apache-2.0
// A list of photos, their classes and perhaps their splits, as spreadsheets write it (RFC 4180).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <map>
#include <optional>
#include <system_error>
#include <unordered_map>

#include "data/csv.h"
#include "data/csv_columns.h"
#include "data/listing.h"
#include "data/sources.h"
#include "base/counted.h"
#include "base/error.h"
#include "base/file_kind.h"
#include "base/open_file.h"
#include "base/resource_error.h"

namespace gcvit::data {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxListBytes = std::uint64_t{1} << 30;

std::string read_text(const std::string& path) {
  std::error_code error;
  if (!fs::exists(path, error))
    fail(ErrorCode::kNotFound, "[csv] {}: expected a list of photos, found {}", path, found_instead(path));
  return read_regular_text(path, "csv", kMaxListBytes);
}

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

/// Finds the files of names without an extension, such as ids: next to the list first, then in all folders below.
class FilesOfIds {
 public:
  explicit FilesOfIds(fs::path folder) : folder_(std::move(folder)) {}

  /// The name of the one photo that `id` is the name of without its ending; nothing where there is none. Throws `Error`
  /// where there are several.
  std::optional<std::string> find(const std::string& id, std::string_view list) {
    std::optional<std::string> found = beside(id, list);
    if (!found && id.find('/') == std::string::npos) found = below(id, list);
    return found;
  }

 private:
  [[noreturn]] static void refuse(std::string_view list, const std::string& id, const std::string& one,
                                  const std::string& other) {
    fail("[csv] {}: \"{}\": expected one photo of that name, found {} and {}", list, id, one, other);
  }

  std::optional<std::string> beside(const std::string& id, std::string_view list) const {
    std::optional<std::string> found;
    for (const std::string& ending : image_endings()) {
      const std::string name = id + ending;
      if (!is_file(folder_ / name)) continue;
      if (found) refuse(list, id, *found, name);
      found = name;
    }
    return found;
  }

  std::optional<std::string> below(const std::string& id, std::string_view list) {
    if (!listed_) {
      listed_ = true;
      try {
        for (std::string& image : list_below(folder_.empty() ? "." : folder_.string()).images) {
          const std::string name = fs::path(image).filename().string();
          by_id_.emplace(name.substr(0, name.size() - ending_of(name).size()), std::move(image));
        }
      } catch (const ResourceError&) {
        throw;
      } catch (const Error&) {
        // An unrelated folder that can't be read is no error.
      }
    }
    const auto [first, last] = by_id_.equal_range(id);
    if (first == last) return std::nullopt;
    if (std::next(first) != last) refuse(list, id, first->second, std::next(first)->second);
    return first->second;
  }

  fs::path folder_;
  bool listed_ = false;
  std::multimap<std::string, std::string> by_id_;
};

/// A line of the list.
struct Row {
  std::size_t line = 0;
  std::string name;
  std::string file;
  std::string label;
  std::optional<Split> split;
};

/// Whether a name has the extension of an image format that can't be read.
bool is_other_picture(const std::string& name) {
  constexpr std::array<std::string_view, 14> kEndings = {".bmp",  ".gif", ".tif", ".tiff", ".heic", ".heif", ".avif",
                                                         ".apng", ".jp2", ".jxl", ".ppm",  ".pgm",  ".svg",  ".dcm"};
  return std::find(kEndings.begin(), kEndings.end(), ending_of(name)) != kEndings.end();
}

/// Whether a field names a photo by its extension or as an existing file.
bool is_image_path(const fs::path& folder, const std::string& name) {
  if (name.empty() || name.find('\0') != std::string::npos) return false;
  const std::string file = fs::path(name).filename().string();
  return is_image_name(file) || is_other_picture(file) || is_file(folder / name);
}

/// Whether a name has no extension, so that a photo's may be missing.
bool is_id(const std::string& name) {
  return !name.empty() && name.find('\0') == std::string::npos && ending_of(fs::path(name).filename().native()).empty();
}

/// The split for a value that says whether a photo is for validation.
std::optional<Split> split_of_truth(std::string_view text) {
  const std::string word = lower_case(text);
  for (const std::string_view yes : {"true", "1", "1.0", "yes"}) {
    if (word == yes) return Split::kValidation;
  }
  for (const std::string_view no : {"false", "0", "0.0", "no"}) {
    if (word == no) return Split::kTrain;
  }
  return std::nullopt;
}

/// Whether a field of the column names a split.
bool has_split_word(std::span<const CsvRecord> records, std::size_t column) {
  return std::any_of(records.begin(), records.end(), [&](const CsvRecord& record) {
    return column < record.fields.size() && split_of_word(trimmed(record.fields[column])).has_value();
  });
}

/// A sentence about named columns of a header that aren't used; empty if there are none.
std::string unused_columns(const CsvRecord& header, const Columns& columns, const std::string& path) {
  std::string unused;
  for (std::size_t i = 0; i < header.fields.size(); ++i) {
    const std::string_view name = trimmed(header.fields[i]);
    if (name.empty() || i == columns.path || i == columns.label || i == columns.split) continue;
    unused += fmt::format("{}\"{}\"", unused.empty() ? "" : ", ", name);
  }
  if (unused.empty()) return "";
  return fmt::format("{}: photos are taken from the column \"{}\" and classes from \"{}\"; not used: {}", path,
                     trimmed(header.fields[columns.path]), trimmed(header.fields[columns.label]), unused);
}

/// The columns of the list; `set` gets a notice when some aren't used.
Columns columns_of_list(const std::vector<CsvRecord>& records, const std::string& path, FilesOfIds& ids,
                        ImageSet& set) {
  const fs::path folder = fs::path(path).parent_path();
  Columns columns = columns_of(
      records, path, [&](const std::string& field) { return is_image_path(folder, std::string(trimmed(field))); },
      [&](const std::string& field) {
        const std::string name(trimmed(field));
        return is_id(name) && ids.find(name, path).has_value();
      });
  if (columns.header) {
    if (columns.split_if_words && !has_split_word(std::span(records).subspan(1), columns.split)) {
      columns.split = std::string::npos;
    }
    std::string unused = unused_columns(records.front(), columns, path);
    if (!unused.empty()) set.notices.push_back(std::move(unused));
  }
  return columns;
}

/// The row of a record, without its file. Throws `Error` when a field is missing or isn't what it should be.
Row row_of(const CsvRecord& record, const Columns& columns, const std::string& path) {
  const std::vector<std::string>& fields = record.fields;
  if (fields.size() <= std::max(columns.path, columns.label)) {
    fail("[csv] {}: line {}: expected a path and a label, found {}", path, record.line,
         counted(fields.size(), "column"));
  }
  Row row{.line = record.line,
          .name = std::string(trimmed(fields[columns.path])),
          .file = {},
          .label = std::string(trimmed(fields[columns.label])),
          .split = {}};
  if (row.name.empty() || row.label.empty()) {
    fail("[csv] {}: line {}: expected a path and a label, found an empty one", path, record.line);
  }
  if ((row.name + row.label).find('\0') != std::string::npos) {
    fail("[csv] {}: line {}: expected a path and a label, found a zero byte in them", path, record.line);
  }
  const std::string_view split = columns.split < fields.size() ? trimmed(fields[columns.split]) : "";
  if (split.empty()) return row;
  row.split = columns.validates ? split_of_truth(split) : split_of_word(split);
  if (!row.split) {
    fail("[csv] {}: line {}: expected {} in column {}, found \"{}\"", path, record.line,
         columns.validates ? "true or false" : "train, val or test", columns.split + 1, split);
  }
  return row;
}

/// The rows of the list, in its order.
std::vector<Row> read_rows(const std::vector<CsvRecord>& records, const std::string& path, ImageSet& set) {
  const fs::path folder = fs::path(path).parent_path();
  FilesOfIds ids(folder);
  const Columns columns = columns_of_list(records, path, ids, set);
  std::vector<Row> rows;
  LeftOut headers{.reason = "lines that repeat the header"};
  std::size_t lost = 0;
  for (const CsvRecord& record : std::span(records).subspan(columns.header ? 1 : 0)) {
    if (columns.header && record.fields == records.front().fields) {  // concatenated lists
      ++headers.count;
      continue;
    }
    Row row = row_of(record, columns, path);
    if (is_id(row.name) && !is_file(folder / row.name)) {
      if (auto found = ids.find(row.name, path)) {
        row.name = std::move(*found);
      } else {
        ++lost;
      }
    }
    row.file = (folder / row.name).string();
    rows.push_back(std::move(row));
  }
  if (headers.count > 0) set.left_out.push_back(std::move(headers));
  if (lost > 0 && lost == rows.size()) {
    fail(
        "[csv] {}: line {}: expected the path of a photo, found \"{}\", which names no file, nor does it with an "
        "ending "
        "({})",
        path, rows.front().line, rows.front().name, kImageKinds);
  }
  return rows;
}

/// Drops rows of pictures that can't be read, and counts them by their endings.
std::map<std::string, OtherFiles> drop_other_pictures(std::vector<Row>& rows) {
  std::map<std::string, OtherFiles> others;
  std::erase_if(rows, [&](const Row& row) {
    if (!is_other_picture(row.name)) return false;
    OtherFiles& other = others[ending_of(row.name)];
    if (other.count++ == 0) other.example = row.name;
    return true;
  });
  return others;
}

/// The path without "." and "..", which few have.
std::string normal_path(const std::string& path) {
  const bool normal = path.find("./") == std::string::npos && path.find("//") == std::string::npos;
  return normal ? path : fs::path(path).lexically_normal().string();
}

/// Keeps one row of each photo and returns the number of others. Throws `Error` when these contradict it.
LeftOut drop_repeated(std::vector<Row>& rows, const std::string& path) {
  LeftOut repeated{.reason = "lines that repeat a photo"};
  std::unordered_map<std::string, std::size_t> first_of;
  first_of.reserve(rows.size());
  // A photo may have an absolute path and one relative to the list's folder.
  const bool absolute = std::any_of(rows.begin(), rows.end(), [](const Row& row) { return row.name.starts_with('/'); });
  std::error_code error;
  const std::string here = absolute ? fs::current_path(error).string() + "/" : "";
  std::size_t kept = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::string file = rows[i].file.starts_with('/') ? rows[i].file : here + rows[i].file;
    const auto [entry, added] = first_of.emplace(normal_path(file), kept);
    if (added) {
      if (kept != i) rows[kept] = std::move(rows[i]);
      ++kept;
      continue;
    }
    const Row& first = rows[entry->second];
    if (first.label != rows[i].label) {
      fail("[csv] {}: \"{}\": expected one class for a photo, found \"{}\" in line {} and \"{}\" in line {}", path,
           first.name, first.label, first.line, rows[i].label, rows[i].line);
    }
    const Split split = rows[i].split.value_or(Split::kTrain);
    if (first.split.value_or(Split::kTrain) != split) {
      fail("[csv] {}: \"{}\": expected one split for a photo, found {} in line {} and {} in line {}", path, first.name,
           name_of(first.split.value_or(Split::kTrain)), first.line, name_of(split), rows[i].line);
    }
    if (repeated.count++ == 0) repeated.example = rows[i].name;
  }
  rows.resize(kept);
  return repeated;
}

}  // namespace

ImageSet read_csv_list(const std::string& path, const OpenOptions& options) {
  return image_set_of_csv(read_text(path), path, options);
}

ImageSet image_set_of_csv(std::string_view text, const std::string& path, const OpenOptions& options) {
  if (text.empty()) fail("[csv] {}: expected lines of path and label, found an empty file", path);
  const std::string kind = placeholder_or_packed_kind(text);
  if (!kind.empty()) fail("[csv] {}: expected lines of path and label, found {}", path, kind);
  if (text.find('\n') == std::string_view::npos && text.find('\r') < text.size() - 1) {
    fail("[csv] {}: expected lines that end with LF or CR LF, found CR alone", path);
  }
  const std::vector<CsvRecord> records = parse_csv(text, path, separator_of(text, path));
  if (records.empty()) fail("[csv] {}: expected lines of path and label, found none", path);
  ImageSet set;
  std::vector<Row> rows = read_rows(records, path, set);
  if (rows.empty()) fail("[csv] {}: expected lines of path and label behind the header, found none", path);
  LeftOut repeated = drop_repeated(rows, path);
  std::vector<LeftOut> others = other_kinds(drop_other_pictures(rows), "", "photos");
  if (rows.empty()) fail("[csv] {}: expected photos ({}), found {}", path, kImageKinds, describe(others.front()));
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.name < b.name; });

  set.root = path;
  set.kind = SourceKind::kList;
  if (std::any_of(rows.begin(), rows.end(), [](const Row& row) { return row.split.has_value(); })) {
    std::map<Split, std::size_t> counts;
    for (const Row& row : rows) ++counts[row.split.value_or(Split::kTrain)];
    for (const auto& [split, count] : counts) set.splits.push_back({std::string(name_of(split)), split, {}, count});
  }
  choose_splits(set, options);
  const auto split_of = [&](const Row& row) -> const FoundSplit* {
    const auto found = std::find_if(set.splits.begin(), set.splits.end(), [&](const FoundSplit& split) {
      return split.split == row.split.value_or(Split::kTrain);
    });
    return found == set.splits.end() ? nullptr : &*found;
  };
  for (const FoundSplit& split : set.splits) {
    if (split.use != SplitUse::kLeftOut) continue;
    const auto example =
        std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return split_of(row) == &split; });
    leave_out_split(set, split, example->name);
  }
  std::vector<std::string> labels;
  for (Row& row : rows) {
    const FoundSplit* const split = split_of(row);
    if (split != nullptr && split->use == SplitUse::kLeftOut) continue;
    labels.push_back(std::move(row.label));
    set.samples.push_back({.name = std::move(row.name), .file = std::move(row.file)});
    if (split != nullptr) set.validates.push_back(split->use == SplitUse::kValidates);
  }
  if (!any_validates(set)) set.validates.clear();
  std::move(others.begin(), others.end(), std::back_inserter(set.left_out));
  if (repeated.count > 0) set.left_out.push_back(std::move(repeated));
  label_samples(set, labels);
  return set;
}

}  // namespace gcvit::data
