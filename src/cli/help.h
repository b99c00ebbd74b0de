// SPDX-License-Identifier: Apache-2.0
// Help as text, wrapped to a width.
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <string>
#include <vector>

#include "cli/description.h"

namespace gcvit::cli {

/// Columns of help: those of COLUMNS or of the terminal on standard output, 40 to 100; 80 where there is neither.
std::size_t help_width();

/// Lines of at most `width` columns, cut between words; a longer word has a line of its own.
std::vector<std::string> wrap(const std::string& text, std::size_t width);

/// What `gcvit --help` prints.
std::string help_of_program(CLI::App& program, std::size_t width);
/// What `gcvit COMMAND --help` prints.
std::string help_of_command(const CommandDescription& command, std::size_t width);

}  // namespace gcvit::cli
