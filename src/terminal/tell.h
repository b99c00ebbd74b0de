// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <string_view>

namespace gcvit {

/// Writes a notice or progress to a stream and flushes it. Never fails: it ignores a stream that can't be written (a full
/// device, a closed descriptor, a pipe without a reader, a lost terminal).
void tell(std::FILE* stream, std::string_view text) noexcept;

}  // namespace gcvit
