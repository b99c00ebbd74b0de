// SPDX-License-Identifier: Apache-2.0
#include "gcvit/error.h"

#include "tensor/printable.h"

namespace gcvit {

Error::Error(const std::string& sentence) : std::runtime_error(printable(sentence)) {}

}  // namespace gcvit
