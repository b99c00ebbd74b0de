// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <string_view>

namespace gcvit {

/// Writes to a stream that a person may be reading: notices and progress. They are not the result, so nothing comes of
/// it when they can't be written (a full device, a closed descriptor, a reader or a terminal that has gone).
void tell(std::FILE* stream, std::string_view text) noexcept;

}  // namespace gcvit
