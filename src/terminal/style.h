// SPDX-License-Identifier: Apache-2.0
// Colours on terminals that want them.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace gcvit {

enum class Style { kGood, kDoubtful, kFaint };

/// Whether the environment wants colour on this stream: NO_COLOR (https://no-color.org) forbids it; else CLICOLOR_FORCE with a value
/// other than 0 asks for it anywhere; else it needs a terminal whose TERM is set and isn't "dumb".
bool wants_colour(std::FILE* stream);

/// Whether the stream is a terminal on which the cursor can be moved: one whose TERM isn't "dumb".
bool is_capable_terminal(std::FILE* stream);

/// `text` in a style, or as it is without `colour`. The text must be printable already.
std::string styled(std::string_view text, Style style, bool colour);

}  // namespace gcvit
