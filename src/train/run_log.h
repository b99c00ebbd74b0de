// SPDX-License-Identifier: Apache-2.0
// The logs of a run folder, for spreadsheets, scripts and the report: log.csv with a row an epoch, steps.csv with a row
// a step.
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

/// The whole file. Values have as many digits as bring the same double back; what isn't there is an empty field.
std::string serialise_run_log(std::span<const EpochRow> rows);

/// Reads `serialise_run_log`'s text back. `file` stands for it in errors. Throws `Error` with the line where the text
/// has another header, another number of fields, something else than numbers, or epochs that don't rise.
std::vector<EpochRow> parse_run_log(std::string_view text, const std::string& file);

/// Writes all rows, so that a run that goes on from an earlier epoch drops what came after it. The file appears whole or
/// the older one stays. Throws `Error`.
void write_run_log(const std::string& path, std::span<const EpochRow> rows);

/// Throws `Error` when the file can't be read or isn't such a log.
std::vector<EpochRow> read_run_log(const std::string& path);

/// steps.csv, which grows by a row a step: "step,loss,lr". Steps count from 1.
class StepLog {
 public:
  /// Goes on behind `step`: of a file that is there the rows up to it stay, those of steps to be taken again go. Throws
  /// `Error` when the file can't be written.
  StepLog(std::string path, std::int64_t step);
  /// Writes what no `flush` has written, if it can.
  ~StepLog();
  StepLog(const StepLog&) = delete;
  StepLog& operator=(const StepLog&) = delete;

  /// `loss`: mean over the step's photos. Stays in memory until `flush`.
  void add(std::int64_t step, double loss, double lr);

  /// Throws `Error` when rows can't be written, and keeps them.
  void flush();

 private:
  std::string path_;
  std::string rows_;  ///< not in the file yet
  std::optional<AppendFile> file_;
};

}  // namespace gcvit::train
