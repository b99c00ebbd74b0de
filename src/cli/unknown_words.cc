// SPDX-License-Identifier: Apache-2.0
#include "cli/unknown_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/build_options.h"

namespace gcvit::cli {
namespace {

/// A subcommand that a CMake option can leave out.
struct Part {
  std::string_view command;
  bool built;
  std::string_view what;
  std::string_view option;
};

constexpr std::array<Part, 6> kParts = {{{"train", kWithTraining, "training", "GCVIT_TRAIN"},
                                         {"convert", kWithConverter, "converter", "GCVIT_CONVERT"},
                                         {"quantize", kWithConverter, "converter", "GCVIT_CONVERT"},
                                         {"export", kWithOnnx, "ONNX export", "GCVIT_ONNX"},
                                         {"serve", kWithServer, "HTTP server", "GCVIT_SERVE"},
                                         {"pull", kWithHub, "downloads", "GCVIT_HUB"}}};

constexpr std::size_t kShortestStart = 3;

std::string with_nearest(const std::string& sentence, std::string_view word,
                         const std::vector<std::string>& candidates) {
  const std::string meant = nearest(word, candidates);
  return meant.empty() ? sentence : sentence + "; the nearest is " + meant;
}

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> rows(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      std::size_t& cell = rows[i][j];
      if (i == 0 || j == 0) {
        cell = i + j;
        continue;
      }
      cell = std::min({rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) cell = std::min(cell, rows[i - 2][j - 2] + 1);
    }
  }
  return rows[a.size()][b.size()];
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  const auto letters = [](std::string_view text) {
    return text.substr(std::min(text.find_first_not_of('-'), text.size()));
  };
  const std::string_view wanted = letters(word).substr(0, 64);
  std::size_t best = std::max<std::size_t>(1, wanted.size() / 3) + 1;
  std::string found;
  for (const std::string& candidate : candidates) {
    const std::string_view other = letters(candidate);
    const bool same_start = std::min(other.size(), wanted.size()) >= kShortestStart &&
                            (other.starts_with(wanted) || wanted.starts_with(other));
    const std::size_t distance = same_start ? 1 : edit_distance(wanted, other);
    if (distance >= best || distance >= other.size()) continue;
    best = distance;
    found = candidate;
  }
  return found;
}

std::string why_not_built(std::string_view command) {
  for (const Part& part : kParts) {
    if (part.command == command && !part.built) {
      return fmt::format("{}: this build has no {} ({}=OFF)", command, part.what, part.option);
    }
  }
  return "";
}

std::string why_no_command(const CLI::App& program, const std::string& word) {
  if (std::string sentence = why_not_built(word); !sentence.empty()) return sentence;
  std::vector<std::string> names;
  for (const CLI::App* const command : program.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == word) return "";
    names.push_back(command->get_name());
  }
  return with_nearest("there is no command " + word, word, names);
}

std::string why_no_flag(const CLI::App& command) {
  std::vector<std::string> flags;
  for (const CLI::Option* const option : command.get_options([](const CLI::Option*) { return true; })) {
    for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
  }
  for (const std::string& word : command.remaining()) {
    const bool number = word.find_first_not_of("-.0123456789") == std::string::npos;
    if (!word.starts_with("-") || number) continue;  // "-" and "--" are of the numbers' characters
    const std::string flag = word.substr(0, word.find('='));
    const std::string sentence = fmt::format("{} has no flag {}", command.get_name(), flag);
    return flag.starts_with("--") ? with_nearest(sentence, flag, flags) : sentence;
  }
  return "";
}

}  // namespace gcvit::cli
