// SPDX-License-Identifier: Apache-2.0
#include "cli/answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/printable.h"
#include "terminal/style.h"

namespace gcvit::cli {

Answers::Answers(const AnswerOptions& options) : options_(options), colour_(wants_colour(stdout)) {
  if (options_.form == AnswerForm::kCsv) {
    print_csv_row(std::array<std::string, 5>{"image", "label", "probability", "index", "error"});
  }
}

bool Answers::is_unsure(const ImageResult& result) const {
  return options_.threshold && result.predictions.front().probability < *options_.threshold;
}

std::string Answers::verdict(const ImageResult& result) const {
  return is_unsure(result) ? kUnsure : result.predictions.front().label;
}

std::string Answers::styled_verdict(const ImageResult& result) const {
  return styled(printable(verdict(result)), is_unsure(result) ? Style::kDoubtful : Style::kGood, colour_);
}

Json Answers::to_json(const std::string& image, const ImageResult& result) const {
  if (!result.error.empty()) return {{"image", image}, {"error", result.error}};
  Json json = {{"image", image}, {"label", verdict(result)}, {"predictions", Json::array()}};
  for (const Prediction& prediction : result.predictions) {
    json["predictions"].push_back(
        {{"index", prediction.index}, {"label", prediction.label}, {"probability", prediction.probability}});
  }
  return json;
}

std::string Answers::to_block(const std::string& image, const ImageResult& result) const {
  std::string text = fmt::format("{}: {}\n", printable(image), styled_verdict(result));
  for (const Prediction& prediction : result.predictions) {
    text += fmt::format("  {:6.2f} %  {}\n", 100.0f * prediction.probability, printable(prediction.label));
  }
  return text;
}

std::string Answers::to_line(const std::string& image, const ImageResult& result) const {
  const std::size_t shown = std::min(options_.classes_a_line, result.predictions.size());
  std::string others;
  for (std::size_t i = 0; i < shown; ++i) {
    const Prediction& prediction = result.predictions[i];
    const std::string percent = fmt::format("{:.2f} %", 100.0f * prediction.probability);
    if (i == 0 && !is_unsure(result)) {
      others = percent;
    } else {
      others += fmt::format("{}{} {}", i == 0 ? "" : ", ", printable(prediction.label), percent);
    }
  }
  return fmt::format("{}: {} {}\n", printable(image), styled_verdict(result),
                     is_unsure(result) ? fmt::format("({})", others) : others);
}

void Answers::print_row(const std::string& image, const ImageResult& result) const {
  std::array<std::string, 5> row = {image, "", "", "", result.error};
  if (result.error.empty()) {
    const Prediction& best = result.predictions.front();
    row = {image, verdict(result), fmt::format("{}", best.probability), std::to_string(best.index), ""};
  }
  print_csv_row(row);
}

void Answers::add(const std::string& image, const ImageResult& result) {
  const bool whole = result.error.empty();
  switch (options_.form) {
    case AnswerForm::kBlocks:
      if (whole) print_styled(to_block(image, result));
      return;
    case AnswerForm::kLines:
      if (whole) print_styled(to_line(image, result));
      return;
    case AnswerForm::kJson: (whole ? results_ : errors_).push_back(to_json(image, result)); return;
    case AnswerForm::kJsonLines: print_json(to_json(image, result)); return;
    case AnswerForm::kCsv: print_row(image, result); return;
  }
}

void Answers::finish(const std::string& model) {
  if (options_.form != AnswerForm::kJson) return;
  print_json(Json{{"model", model}, {"results", std::move(results_)}, {"errors", std::move(errors_)}});
}

}  // namespace gcvit::cli
