// SPDX-License-Identifier: Apache-2.0
// Completion scripts for shells, of the same descriptions as help.
#pragma once

#include <string>
#include <vector>

#include "cli/description.h"

namespace gcvit::cli {

std::string bash_completion(const std::vector<CommandDescription>& commands);
std::string zsh_completion(const std::vector<CommandDescription>& commands);
std::string fish_completion(const std::vector<CommandDescription>& commands);

}  // namespace gcvit::cli
