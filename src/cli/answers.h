// SPDX-License-Identifier: Apache-2.0
// How `classify` shows its answers.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "cli/output.h"
#include "gcvit/classifier.h"

namespace gcvit::cli {

/// The verdict about a photo whose best class is less probable than the threshold.
inline constexpr const char* kUnsure = "unsure";

enum class AnswerForm {
  kBlocks,     ///< the verdict and, below it, a line for each class
  kLines,      ///< one line a photo
  kJson,       ///< one object at the end
  kJsonLines,  ///< an object a photo
  kCsv         ///< a row a photo
};

struct AnswerOptions {
  AnswerForm form = AnswerForm::kBlocks;
  std::optional<float> threshold;
  std::size_t classes_a_line = 1;  ///< that kLines shows
};

/// Prints answers in one of these forms.
class Answers {
 public:
  explicit Answers(const AnswerOptions& options);

  /// The best class's name, or kUnsure. The photo could be classified.
  std::string verdict(const ImageResult& result) const;
  bool is_unsure(const ImageResult& result) const;

  /// Prints the answer about a photo, or its error in the forms that have one; kJson keeps it. Throws as `print` does.
  void add(const std::string& image, const ImageResult& result);
  /// Prints what was kept. `model` is the model's file.
  void finish(const std::string& model);

 private:
  Json to_json(const std::string& image, const ImageResult& result) const;
  std::string to_block(const std::string& image, const ImageResult& result) const;
  std::string to_line(const std::string& image, const ImageResult& result) const;
  void print_row(const std::string& image, const ImageResult& result) const;
  std::string styled_verdict(const ImageResult& result) const;

  AnswerOptions options_;
  bool colour_;
  Json results_ = Json::array();
  Json errors_ = Json::array();
};

}  // namespace gcvit::cli
