// SPDX-License-Identifier: Apache-2.0
#include "cli/predictions_file.h"

#include <fmt/format.h>

#include <array>
#include <cstddef>

#include "cli/arguments.h"
#include "cli/output.h"

namespace gcvit::cli {
namespace {

constexpr std::size_t kPart = std::size_t{1} << 16;

/// Whether it is CSV.
bool form_of(const std::string& path) {
  if (path.ends_with(".csv")) return true;
  if (path.ends_with(".jsonl")) return false;
  throw UsageError("--predictions: expected a file whose name ends in .csv or .jsonl, found " + path);
}

}  // namespace

PredictionsFile::PredictionsFile(const std::string& path) : csv_(form_of(path)), file_(path) {
  if (csv_) lines_ = csv_row(std::array<std::string, 5>{"image", "label", "predicted", "probability", "correct"});
}

void PredictionsFile::add(const LabelledAnswer& answer) {
  if (csv_) {
    lines_ +=
        csv_row(std::array<std::string, 5>{answer.image, answer.label, answer.predicted,
                                           fmt::format("{}", answer.probability), answer.correct ? "true" : "false"});
  } else {
    lines_ += json_text({{"image", answer.image},
                         {"label", answer.label},
                         {"predicted", answer.predicted},
                         {"probability", answer.probability},
                         {"correct", answer.correct}});
  }
  if (lines_.size() >= kPart) flush();
}

void PredictionsFile::commit() {
  flush();
  file_.commit();
}

void PredictionsFile::flush() {
  file_.write(lines_);
  lines_.clear();
}

}  // namespace gcvit::cli
