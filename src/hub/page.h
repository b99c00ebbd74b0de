// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace gcvit::hub {

/// What a file is that servers answer with in place of another, "an HTML page"; empty for all else.
std::string page_in_place_of_file(const std::string& path);

}  // namespace gcvit::hub
