// SPDX-License-Identifier: Apache-2.0
// JSON holds texts in UTF-8 alone, but a path is any bytes.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/json.h"

namespace gcvit::train {

bool is_utf8(const std::string& text);

/// The text, or {"bytes": "66ff"} with its bytes in hexadecimal when it isn't UTF-8.
nlohmann::json text_to_json(const std::string& text);

/// The text that `text_to_json` was given. Throws `Error` for other values.
std::string text_from_json(const JsonPlace& place);

}  // namespace gcvit::train
