// SPDX-License-Identifier: Apache-2.0
#include "gcvit/error.h"

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "base/printable.h"

namespace gcvit {

namespace {

/// Two of the longest paths that there are.
constexpr std::size_t kLongestSentence = 8192;

/// Areas whose sentences are about what a caller gave, unless their throw says otherwise. All others read files.
constexpr std::string_view kAreasOfArguments[] = {"classifier", "native", "onnx",   "ops",    "preprocess", "session",
                                                  "target",     "tensor", "config", "model",  "threads",    "pipeline",
                                                  "train",      "log",    "data",   "memory", "explain"};

ErrorCode code_of_area(std::string_view sentence) {
  const std::size_t end = sentence.find(']');
  if (!sentence.starts_with('[') || end == std::string_view::npos) return ErrorCode::kInvalidArgument;
  const std::string_view area = sentence.substr(1, end - 1);
  return std::ranges::find(kAreasOfArguments, area) != std::end(kAreasOfArguments) ? ErrorCode::kInvalidArgument
                                                                                   : ErrorCode::kInvalidFile;
}

}  // namespace

std::string_view name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument: return "invalid_argument";
    case ErrorCode::kNotFound: return "not_found";
    case ErrorCode::kInvalidFile: return "invalid_file";
    case ErrorCode::kUnsupported: return "unsupported";
    case ErrorCode::kOutOfBudget: return "out_of_budget";
    case ErrorCode::kIo: return "io";
    case ErrorCode::kCancelled: return "cancelled";
  }
  return "unknown";
}

Error::Error(const std::string& sentence) : Error(code_of_area(sentence), sentence) {}

Error::Error(ErrorCode code, const std::string& sentence)
    : std::runtime_error(shortened(printable(sentence), kLongestSentence)), code_(code) {}

}  // namespace gcvit
