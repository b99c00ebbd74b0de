// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "gcvit/export.h"

namespace gcvit {

/// What kind of failure an `Error` is, for programs.
enum class ErrorCode : std::uint8_t {
  kInvalidArgument,  ///< a value that the caller gave is out of its range or doesn't fit the model
  kNotFound,         ///< no such file, class, parameter or tap
  kInvalidFile,      ///< a file's contents are broken or not what was expected
  kUnsupported,      ///< understood, but not something that this library or this build does
  kOutOfBudget,      ///< would need more pixels, memory or steps than is allowed
  kIo,               ///< reading or writing failed, or descriptors, memory or threads have run out
  kCancelled,        ///< the caller asked for it
};

/// "invalid_argument", "not_found", "invalid_file", "unsupported", "out_of_budget", "io", "cancelled".
GCVIT_EXPORT std::string_view name_of(ErrorCode code);

/// Every failure of this library: one sentence that starts with the area in brackets and names the file, the place in
/// it, what was expected and what was found, e.g.
/// `[safetensors] model.safetensors: tensor "norm.weight": ends at byte 912, file has 640`.
class GCVIT_EXPORT Error : public std::runtime_error {
 public:
  /// What files and their makers put into the sentence is made printable: control characters, marks that turn the
  /// direction of writing and bytes that are no UTF-8 appear as "\x1b" or "\u202e". Over 8 KB, its middle is left out.
  /// The code is that of the sentence's area: kInvalidFile for one that reads files, else kInvalidArgument.
  explicit Error(const std::string& sentence);
  Error(ErrorCode code, const std::string& sentence);

  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace gcvit
