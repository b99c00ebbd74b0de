// SPDX-License-Identifier: Apache-2.0
// Manual pages, of the same descriptions as help.
#pragma once

#include <string>
#include <vector>

#include "cli/description.h"

namespace gcvit::cli {

/// gcvit(1)
std::string man_page_of_program(const std::string& text, const std::vector<CommandDescription>& commands);
/// gcvit-COMMAND(1)
std::string man_page_of_command(const CommandDescription& command);

}  // namespace gcvit::cli
