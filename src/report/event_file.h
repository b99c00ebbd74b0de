// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "data/tfrecord.h"
#include "image/decode.h"
#include "report/epoch_row.h"

namespace gcvit::report {

/// A TensorBoard event file, "events.out.tfevents.TIME.HOST", that grows while a run goes on. Each call is one record
/// and one write, so that a killed run leaves at most its last record torn, which TensorBoard passes over.
class EventFile {
 public:
  /// Begins a file in `folder`, whose name sorts behind those that are there: TensorBoard reads them in that order.
  /// Steps from `first_step` on that earlier files hold, of a run that goes on from before its end, are void then.
  /// Throws `Error` when it can't be written.
  EventFile(const std::string& folder, std::int64_t first_step);

  const std::string& path() const { return path_; }

  /// A number under a name ("loss"). A value that isn't finite is written as it is. Throws `Error` as above.
  void scalar(std::string_view tag, std::int64_t step, double value);
  void picture(std::string_view tag, std::int64_t step, const image::Image& image);
  /// The epoch's numbers under the names of log.csv's columns; its step is the epoch.
  void epoch(const EpochRow& row);

 private:
  std::string path_;
  data::TfrecordWriter records_;
};

}  // namespace gcvit::report
