// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>

#include "gcvit/export.h"

namespace gcvit {

/// Every failure of this library: one sentence that starts with the area in brackets and names the file, the place in
/// it, what was expected and what was found, e.g.
/// `[safetensors] model.safetensors: tensor "norm.weight": ends at byte 912, file has 640`.
class GCVIT_EXPORT Error : public std::runtime_error {
 public:
  /// What files and their makers put into the sentence is made printable: control characters, marks that turn the
  /// direction of writing and bytes that are no UTF-8 appear as "\x1b" or "\u202e". Over 8 KB, its middle is left out.
  explicit Error(const std::string& sentence);
};

}  // namespace gcvit
