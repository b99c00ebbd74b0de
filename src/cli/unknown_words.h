// SPDX-License-Identifier: Apache-2.0
// What to say when a command line has a word that the program doesn't know.
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace gcvit::cli {

/// How many letters must be added, removed, changed or swapped with their neighbours to make one word of the other.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate that was probably meant: one that begins like the word, or that a third of its letters at most separate
/// from it; empty when there is none.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

/// The sentence for a command that this build leaves out; empty for every other word.
std::string why_not_built(std::string_view command);

/// The sentence for a word that is no command, or one that this build leaves out; empty for a command.
std::string why_no_command(const CLI::App& program, const std::string& word);

/// The sentence for the first flag in the parsed command line that the command doesn't have; empty when there is none.
std::string why_no_flag(const CLI::App& command);

}  // namespace gcvit::cli
