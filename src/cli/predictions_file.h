// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/atomic_file.h"

namespace gcvit::cli {

/// A model's answer about a labelled photo.
struct LabelledAnswer {
  std::string image;  ///< its name within the data
  std::string label;  ///< its true class
  std::string predicted;
  float probability = 0.0f;  ///< of `predicted`
  bool correct = false;
};

/// The answers about labelled photos as a file, a photo a line: CSV (.csv, with a header) or JSON objects (.jsonl), both with the
/// keys image, label, predicted, probability and correct. The file appears whole or not at all, and memory doesn't grow with it.
class PredictionsFile {
 public:
  /// Throws `UsageError` for another ending, `Error` when the file can't be written.
  explicit PredictionsFile(const std::string& path);

  void add(const LabelledAnswer& answer);
  void commit();

 private:
  void flush();

  bool csv_;
  AtomicFile file_;
  std::string lines_;  ///< not written yet
};

}  // namespace gcvit::cli
