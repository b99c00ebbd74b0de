// SPDX-License-Identifier: Apache-2.0
// The page of `eval --report`. A build without training has no reports.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "evaluate/evaluate.h"
#include "gcvit/explain.h"
#include "gcvit/session.h"
#include "report/examples.h"

namespace gcvit::cli {

/// Gathers what the page shows while photos are evaluated, in memory that doesn't grow with their number.
class EvaluationReport {
 public:
  /// Opens the file, which appears whole or not at all; `explainer`, whose session evaluates, and `images` must outlive the object. With
  /// `explain` the mistakes that are shown are explained. Throws `UsageError` for a name that doesn't end in .html or .htm, `Error` when
  /// it can't be written.
  EvaluationReport(const std::string& path, Explainer& explainer, bool explain, const data::ImageSet& images);

  /// A photo that could be classified, in the order of `images`.
  void add(const ImageLogits& image);
  /// Writes the page, when nothing is evaluated any more. `wanted` and `model_file` are what the command line named.
  void write(const evaluate::Evaluation& evaluation, const evaluate::LabelledImages& wanted,
             const std::string& model_file);

 private:
  AtomicFile file_;
  Explainer& explainer_;
  bool explain_;
  const data::ImageSet& images_;
  double temperature_;
  report::SurestMistakes mistakes_;
  std::vector<std::size_t> sample_places_;
  std::vector<report::Example> samples_;
};

}  // namespace gcvit::cli
