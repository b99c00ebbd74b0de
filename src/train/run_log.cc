// SPDX-License-Identifier: Apache-2.0
#include "train/run_log.h"

#include <array>
#include <charconv>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/open_file.h"

namespace gcvit::train {
namespace {

constexpr std::array<std::string_view, 8> kColumns = {"epoch",        "loss", "accuracy", "val_loss",
                                                      "val_accuracy", "lr",   "seconds",  "images_per_second"};

/// Of millions of epochs.
constexpr std::uint64_t kMostLogBytes = std::uint64_t{1} << 30;

constexpr std::string_view kStepHeader = "step,loss,lr";

std::string field(const std::optional<double>& value) { return value ? fmt::format("{}", *value) : ""; }

/// Removes and returns the front of `text` up to the next `separator`, or all of it.
std::string_view take(std::string_view& text, char separator) {
  const std::size_t end = text.find(separator);
  const std::string_view front = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return front;
}

/// One line's fields, each read by the name of its column.
class Fields {
 public:
  Fields(std::string_view line, std::size_t number, const std::string& file) : number_(number), file_(file) {
    std::size_t count = 1;
    for (const char letter : line) count += letter == ',';
    if (count != kColumns.size()) {
      fail("[log] {}: line {}: expected {} fields, found {}", file, number, kColumns.size(), count);
    }
    for (std::string_view& one : fields_) one = take(line, ',');
  }

  template <typename Number>
  Number get(std::size_t column) const {
    const std::string_view text = fields_[column];
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) {
      fail("[log] {}: line {}: {}: expected a number, found \"{}\"", file_, number_, kColumns[column], text);
    }
    return value;
  }
  std::optional<double> optional(std::size_t column) const {
    if (fields_[column].empty()) return std::nullopt;
    return get<double>(column);
  }

 private:
  std::array<std::string_view, kColumns.size()> fields_;
  std::size_t number_;
  const std::string& file_;
};

}  // namespace

std::string run_log_header() { return fmt::format("{}", fmt::join(kColumns, ",")); }

std::string serialise_run_log(std::span<const EpochRow> rows) {
  std::string text = run_log_header() + "\n";
  for (const EpochRow& row : rows) {
    text += fmt::format("{},{},{},{},{},{},{},{}\n", row.epoch, row.loss, row.accuracy, field(row.val_loss),
                        field(row.val_accuracy), row.lr, row.seconds, row.images_per_second);
  }
  return text;
}

std::vector<EpochRow> parse_run_log(std::string_view text, const std::string& file) {
  const auto line = [&] {
    std::string_view found = take(text, '\n');
    if (found.ends_with('\r')) found.remove_suffix(1);  // saved by a spreadsheet
    return found;
  };
  const std::string_view header = line();
  if (header != run_log_header()) {
    fail("[log] {}: line 1: expected \"{}\", found \"{}\"", file, run_log_header(), header.substr(0, 100));
  }
  std::vector<EpochRow> rows;
  for (std::size_t number = 2; !text.empty(); ++number) {
    const Fields fields(line(), number, file);
    const EpochRow row{.epoch = fields.get<std::int32_t>(0),
                       .loss = fields.get<double>(1),
                       .accuracy = fields.get<double>(2),
                       .val_loss = fields.optional(3),
                       .val_accuracy = fields.optional(4),
                       .lr = fields.get<double>(5),
                       .seconds = fields.get<double>(6),
                       .images_per_second = fields.get<double>(7)};
    const std::int32_t before = rows.empty() ? 0 : rows.back().epoch;
    if (row.epoch <= before) {
      fail("[log] {}: line {}: expected an epoch after {}, found {}", file, number, before, row.epoch);
    }
    rows.push_back(row);
  }
  return rows;
}

void write_run_log(const std::string& path, std::span<const EpochRow> rows) {
  AtomicFile file(path);
  file.write(serialise_run_log(rows));
  file.commit();
}

std::vector<EpochRow> read_run_log(const std::string& path) {
  return parse_run_log(read_regular_text(path, "log", kMostLogBytes), path);
}

StepLog::StepLog(std::string path, std::int64_t step) : path_(std::move(path)) {
  std::string kept = std::string(kStepHeader) + "\n";
  std::error_code unknown;
  const bool goes_on = step > 0 && std::filesystem::exists(path_, unknown);
  const std::string before = goes_on ? read_regular_text(path_, "log", kMostLogBytes) : "";
  std::string_view rest = before;
  if (take(rest, '\n') == kStepHeader) {
    for (std::int64_t found = 0; !rest.empty();) {
      const std::string_view line = take(rest, '\n');
      const char* const end = line.data() + line.size();
      const auto [comma, error] = std::from_chars(line.data(), end, found);
      if (error != std::errc() || comma == end || *comma != ',' || found > step) break;
      kept.append(line).push_back('\n');
    }
  }
  AtomicFile file(path_);
  file.write(kept);
  file.commit();
  file_.emplace(path_);
}

StepLog::~StepLog() {
  try {
    if (!rows_.empty()) file_->append(rows_);
  } catch (const Error&) {
    // Who wants to know calls `flush`.
  }
}

void StepLog::add(std::int64_t step, double loss, double lr) { rows_ += fmt::format("{},{},{}\n", step, loss, lr); }

void StepLog::flush() {
  file_->append(rows_);
  rows_.clear();
  file_->sync();
}

}  // namespace gcvit::train
