// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "gcvit/error.h"

namespace gcvit {

/// File descriptors, memory or threads have run out. That says nothing of the file at which it is noticed: where a broken
/// photo is passed over, this still ends the work.
class ResourceError : public Error {
 public:
  explicit ResourceError(const std::string& sentence) : Error(ErrorCode::kIo, sentence) {}
};

}  // namespace gcvit
