// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>

#include "gcvit/export.h"

namespace gcvit {

/// Every failure of this library: one sentence that starts with the area in brackets and names the file, the place in
/// it, what was expected and what was found, e.g.
/// `[safetensors] model.safetensors: tensor "norm.weight": ends at byte 912, file has 640`.
class GCVIT_EXPORT Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace gcvit
