// SPDX-License-Identifier: Apache-2.0
// What a training script says of its weights by the words in their keys.
#pragma once

#include <span>
#include <string_view>

namespace gcvit::formats {

/// Longer keys and names are not searched for words.
inline constexpr std::size_t kLongestKey = 256;

/// True when one of the words that `text` is made of, in whatever case, is among `words`.
bool has_word(std::string_view text, std::span<const std::string_view> words);

/// True when a word of a key says that the weights below it are averages: "ema" in "state_dict_ema" or "model-EMA".
bool names_an_average(std::string_view key);

/// True when a word of a key says that what is below it belongs to an optimizer.
bool names_an_optimizer(std::string_view key);

}  // namespace gcvit::formats
