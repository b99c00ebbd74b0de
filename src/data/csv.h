// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace gcvit::data {

/// A line of a CSV file; more than one where a quoted field holds line ends.
struct CsvRecord {
  std::size_t line = 0;  ///< where it begins, from 1
  std::vector<std::string> fields;
};

/// The records of a CSV text as RFC 4180 has them: commas or another separator, "quoted fields" with doubled quotes,
/// lines that end in LF or CR LF. A byte order mark and empty lines are passed over. Throws `Error` for a quote that
/// isn't closed, stands inside a bare field or has something behind it. `name` stands for the file in errors.
std::vector<CsvRecord> parse_csv(std::string_view text, std::string_view name, char separator = ',');

/// What separates the fields: tabs in a .tsv; else what the first line has, a comma before a semicolon before a tab.
char separator_of(std::string_view text, std::string_view name);

}  // namespace gcvit::data
