// SPDX-License-Identifier: Apache-2.0
#include "formats/key_words.h"

#include <algorithm>
#include <string>

namespace gcvit::formats {
namespace {

bool is_letter(char letter) { return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z'); }

}  // namespace

bool has_word(std::string_view text, std::span<const std::string_view> words) {
  std::string word;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && is_letter(text[i])) {
      word.push_back(static_cast<char>(text[i] | 0x20));
      continue;
    }
    if (std::ranges::find(words, word) != words.end()) return true;
    word.clear();
  }
  return false;
}

bool names_an_average(std::string_view key) {
  static constexpr std::string_view kWords[] = {"ema", "swa", "avg", "average", "averaged", "averages", "polyak"};
  return key.size() <= kLongestKey && has_word(key, kWords);
}

bool names_an_optimizer(std::string_view key) {
  static constexpr std::string_view kWords[] = {"optim", "optimizer", "optimizers"};
  return key.size() <= kLongestKey && has_word(key, kWords);
}

}  // namespace gcvit::formats
