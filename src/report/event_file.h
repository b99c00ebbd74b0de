// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "data/tfrecord.h"
#include "image/decode.h"
#include "report/epoch_row.h"

namespace gcvit::report {

/// A TensorBoard event file, "events.out.tfevents.TIME.HOST", that grows during a run. Each call writes one record at
/// once, so that a killed run leaves at most its last record incomplete, which TensorBoard ignores.
class EventFile {
 public:
  /// Begins a file in `folder`, whose name sorts after those that exist: TensorBoard reads them in that order. Steps from
  /// `first_step` on in earlier files, which a resumed run repeats, are discarded by TensorBoard.
  /// Throws `Error` when it can't be written.
  EventFile(const std::string& folder, std::int64_t first_step);

  const std::string& path() const { return path_; }

  /// A number under a name ("loss"). Values that aren't finite are written too. Throws `Error` as above.
  void scalar(std::string_view tag, std::int64_t step, double value);
  void picture(std::string_view tag, std::int64_t step, const image::Image& image);
  /// The epoch's numbers under the names of log.csv's columns; its step is the epoch.
  void epoch(const EpochRow& row);

 private:
  std::string path_;
  data::TfrecordWriter records_;
};

}  // namespace gcvit::report
