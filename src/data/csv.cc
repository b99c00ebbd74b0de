// SPDX-License-Identifier: Apache-2.0
#include "data/csv.h"

#include "tensor/error.h"

namespace gcvit::data {
namespace {

class CsvParser {
 public:
  CsvParser(std::string_view text, std::string_view name) : text_(text), name_(name) {
    if (text_.starts_with("\xef\xbb\xbf")) text_.remove_prefix(3);
  }

  std::vector<CsvRecord> parse() {
    std::vector<CsvRecord> records;
    while (!text_.empty()) {
      if (at_line_end()) {
        take_line_end();
        continue;
      }
      CsvRecord record{line_, {field()}};
      while (text_.starts_with(',')) {
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
    while (end < text_.size() && text_[end] != ',' && text_[end] != '\n') {
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
    if (!text_.empty() && text_.front() != ',' && !at_line_end()) {
      fail("[csv] {}: line {}: expected a comma behind the closing quote, found '{}'", name_, line_, text_.front());
    }
    return field;
  }

  std::string_view text_;
  std::string_view name_;
  std::size_t line_ = 1;
};

}  // namespace

std::vector<CsvRecord> parse_csv(std::string_view text, std::string_view name) { return CsvParser(text, name).parse(); }

}  // namespace gcvit::data
