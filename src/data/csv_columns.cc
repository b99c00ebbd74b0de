// SPDX-License-Identifier: Apache-2.0
#include "data/csv_columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include "data/listing.h"
#include "base/error.h"

namespace gcvit::data {
namespace {

using Words = std::span<const std::string_view>;

/// In the order in which they are preferred, where a list has several: a path before an id, a name before a number.
constexpr std::array<std::string_view, 43> kPathWords = {"path",
                                                         "filepath",
                                                         "file_path",
                                                         "filepaths",
                                                         "file_paths",
                                                         "image_path",
                                                         "image_paths",
                                                         "img_path",
                                                         "photo_path",
                                                         "imagepath",
                                                         "file",
                                                         "files",
                                                         "filename",
                                                         "file_name",
                                                         "filenames",
                                                         "file_names",
                                                         "fname",
                                                         "image_file",
                                                         "image_filename",
                                                         "image_file_name",
                                                         "image_name",
                                                         "imagename",
                                                         "img_name",
                                                         "img_file",
                                                         "image",
                                                         "images",
                                                         "img",
                                                         "imgs",
                                                         "photo",
                                                         "photos",
                                                         "picture",
                                                         "pictures",
                                                         "pic",
                                                         "url",
                                                         "image_id",
                                                         "imageid",
                                                         "img_id",
                                                         "photo_id",
                                                         "image_ids",
                                                         "id_code",
                                                         "id",
                                                         "uuid",
                                                         "name"};
constexpr std::array<std::string_view, 41> kLabelWords = {
    "label",        "labels",      "class",         "classes",     "class_name",
    "classname",    "class_names", "label_name",    "label_names", "labelname",
    "category",     "categories",  "category_name", "species",     "breed",
    "target",       "targets",     "cls",           "y",           "y_true",
    "ground_truth", "gt",          "truth",         "annotation",  "tag",
    "diagnosis",    "dx",          "type",          "kind",        "variety",
    "genus",        "class_id",    "classid",       "class_label", "class_index",
    "class_idx",    "label_id",    "labelid",       "label_index", "category_id",
    "target_id"};
/// The first kSureSplitWords always mean a split.
constexpr std::size_t kSureSplitWords = 4;
constexpr std::array<std::string_view, 12> kSplitWords = {"split",    "subset", "partition", "data_split",
                                                          "side",     "set",    "phase",     "dataset",
                                                          "data_set", "usage",  "stage",     "fold_name"};

/// Columns that say whether a photo is for validation.
constexpr std::array<std::string_view, 3> kValidatesWords = {"is_valid", "is_val", "is_validation"};

/// A name of a column as the lists above have it: in lower case, with `_` for blanks and dashes.
std::string word_of(std::string_view field) {
  std::string word = lower_case(trimmed(field));
  for (char& letter : word) {
    if (letter == ' ' || letter == '-' || letter == '.' || letter == '/') letter = '_';
  }
  return word;
}

/// The column of the first of the words that is there.
std::optional<std::size_t> place_of(std::span<const std::string> header, Words words) {
  for (const std::string_view word : words) {
    const auto found = std::find(header.begin(), header.end(), word);
    if (found != header.end()) return static_cast<std::size_t>(found - header.begin());
  }
  return std::nullopt;
}

[[noreturn]] void refuse(const CsvRecord& record, std::string_view name, std::string_view column, Words words) {
  constexpr std::size_t kShown = 20;
  std::string found;
  for (std::size_t i = 0; i < std::min(record.fields.size(), kShown); ++i) {
    found += fmt::format("{}\"{}\"", i == 0 ? "" : ", ", record.fields[i]);
  }
  fail("[csv] {}: line {}: expected a header that names the column of the {} ({}), found {}{}", name, record.line,
       column, fmt::join(words, ", "), found, record.fields.size() > kShown ? ", ..." : "");
}

}  // namespace

Columns columns_of(const std::vector<CsvRecord>& records, std::string_view name, const IsImage& is_image,
                   const IsImage& is_id) {
  const CsvRecord& first = records.front();
  if (std::any_of(first.fields.begin(), first.fields.end(), is_image)) return {};
  std::vector<std::string> header;
  for (const std::string& field : first.fields) header.push_back(word_of(field));
  const auto path = place_of(header, kPathWords);
  const auto label = place_of(header, kLabelWords);
  if (path && label) {
    const auto sure = place_of(header, Words(kSplitWords).first(kSureSplitWords));
    const auto validates = sure ? std::nullopt : place_of(header, kValidatesWords);
    if (validates) return {*path, *label, *validates, true, true, false};
    const auto split = sure ? sure : place_of(header, kSplitWords);
    return {*path, *label, split.value_or(std::string::npos), true, false, split && !sure};
  }
  if (std::any_of(first.fields.begin(), first.fields.end(), is_id)) return {};
  if (!path && !label) {
    constexpr std::size_t kLooked = 100;
    const auto end = records.begin() + static_cast<std::ptrdiff_t>(std::min(records.size(), kLooked));
    const bool others_do = std::any_of(records.begin() + 1, end, [&](const CsvRecord& record) {
      return std::any_of(record.fields.begin(), record.fields.end(), is_image) ||
             std::any_of(record.fields.begin(), record.fields.end(), is_id);
    });
    if (!others_do) return {};
  }
  if (!path) refuse(first, name, "photo", kPathWords);
  refuse(first, name, "class", kLabelWords);
}

}  // namespace gcvit::data
