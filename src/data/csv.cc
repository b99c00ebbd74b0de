// SPDX-License-Identifier: Apache-2.0
#include "data/csv.h"

#include <algorithm>

#include "data/listing.h"
#include "base/error.h"

namespace gcvit::data {
namespace {

std::string_view without_mark(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  return text;
}

std::string_view name_of(char separator) {
  switch (separator) {
    case ',': return "comma";
    case ';': return "semicolon";
    default: return "tab";
  }
}

class CsvParser {
 public:
  CsvParser(std::string_view text, std::string_view name, char separator)
      : text_(without_mark(text)), name_(name), separator_(separator) {}

  std::vector<CsvRecord> parse() {
    std::vector<CsvRecord> records;
    while (!text_.empty()) {
      if (at_line_end()) {
        take_line_end();
        continue;
      }
      CsvRecord record{line_, {field()}};
      while (text_.starts_with(separator_)) {
        text_.remove_prefix(1);
        record.fields.push_back(field());
      }
      take_line_end();
      records.push_back(std::move(record));
    }
    return records;
  }

 private:
  bool at_line_end() const { return text_.starts_with('\n') || text_.starts_with("\r\n"); }

  void take_line_end() {
    if (text_.empty()) return;
    text_.remove_prefix(text_.front() == '\r' ? 2 : 1);
    ++line_;
  }

  std::string field() { return text_.starts_with('"') ? quoted_field() : bare_field(); }

  std::string bare_field() {
    std::size_t end = 0;
    while (end < text_.size() && text_[end] != separator_ && text_[end] != '\n') {
      if (text_[end] == '"') fail("[csv] {}: line {}: expected a field in quotes, found a quote inside", name_, line_);
      ++end;
    }
    std::string field(text_.substr(0, end));
    if (end < text_.size() && text_[end] == '\n' && field.ends_with('\r')) {
      field.pop_back();
      --end;
    }
    text_.remove_prefix(end);
    return field;
  }

  std::string quoted_field() {
    const std::size_t first_line = line_;
    std::string field;
    text_.remove_prefix(1);
    while (true) {
      const std::size_t quote = text_.find('"');
      if (quote == std::string_view::npos)
        fail("[csv] {}: line {}: expected a closing quote, found none", name_, first_line);
      for (const char letter : text_.substr(0, quote)) line_ += letter == '\n';
      field += text_.substr(0, quote);
      text_.remove_prefix(quote + 1);
      if (!text_.starts_with('"')) break;
      field += '"';
      text_.remove_prefix(1);
    }
    if (!text_.empty() && text_.front() != separator_ && !at_line_end()) {
      fail("[csv] {}: line {}: expected a {} behind the closing quote, found '{}'", name_, line_, name_of(separator_),
           text_.front());
    }
    return field;
  }

  std::string_view text_;
  std::string_view name_;
  char separator_;
  std::size_t line_ = 1;
};

}  // namespace

std::vector<CsvRecord> parse_csv(std::string_view text, std::string_view name, char separator) {
  return CsvParser(text, name, separator).parse();
}

char separator_of(std::string_view text, std::string_view name) {
  if (lower_case(name).ends_with(".tsv")) return '\t';
  text = without_mark(text);
  text.remove_prefix(std::min(text.find_first_not_of("\r\n"), text.size()));
  // Separators in quotes don't count.
  bool quoted = false;
  bool semicolon = false;
  bool tab = false;
  for (const char letter : text) {
    if (letter == '"') quoted = !quoted;
    if (quoted) continue;
    if (letter == ',') return ',';
    if (letter == '\n') break;
    semicolon = semicolon || letter == ';';
    tab = tab || letter == '\t';
  }
  if (semicolon) return ';';
  return tab ? '\t' : ',';
}

}  // namespace gcvit::data
