// SPDX-License-Identifier: Apache-2.0
// The logs of a run folder, for spreadsheets, scripts and the report: log.csv with a row for each epoch, steps.csv with a
// row for each step.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "report/epoch_row.h"
#include "base/append_file.h"

namespace gcvit::train {

using report::EpochRow;

/// The file's first line: "epoch,loss,accuracy,val_loss,val_accuracy,lr,seconds,images_per_second".
std::string run_log_header();

/// The whole file. Values have enough digits to restore the same double; a missing value is an empty field.
std::string serialise_run_log(std::span<const EpochRow> rows);

/// Parses `serialise_run_log`'s text; `file` names it in errors. Throws `Error` with the line for another header, another
/// number of fields, a field that isn't a number, or epochs that don't increase.
std::vector<EpochRow> parse_run_log(std::string_view text, const std::string& file);

/// Writes all rows atomically, so that a run resumed from an earlier epoch drops later rows. Throws `Error`.
void write_run_log(const std::string& path, std::span<const EpochRow> rows);

/// Throws `Error` when the file can't be read or isn't such a log.
std::vector<EpochRow> read_run_log(const std::string& path);

/// steps.csv, with a row for each step: "step,loss,lr". Steps count from 1.
class StepLog {
 public:
  /// Continues after `step`: rows of an existing file up to it are kept, later ones are removed. Throws `Error` when the file
  /// can't be written.
  StepLog(std::string path, std::int64_t step);
  /// Writes the rows that were not flushed, if possible.
  ~StepLog();
  StepLog(const StepLog&) = delete;
  StepLog& operator=(const StepLog&) = delete;

  /// `loss`: mean over the step's photos. Stays in memory until `flush`.
  void add(std::int64_t step, double loss, double lr);

  /// Throws `Error` when rows can't be written, and keeps them.
  void flush();

 private:
  std::string path_;
  std::string rows_;  ///< not written yet
  std::optional<AppendFile> file_;
};

}  // namespace gcvit::train
