// SPDX-License-Identifier: Apache-2.0
#include "gcvit/error.h"

#include <cstddef>

#include "base/printable.h"

namespace gcvit {

namespace {

/// Two of the longest paths that there are.
constexpr std::size_t kLongestSentence = 8192;

}  // namespace

Error::Error(const std::string& sentence) : std::runtime_error(shortened(printable(sentence), kLongestSentence)) {}

}  // namespace gcvit
