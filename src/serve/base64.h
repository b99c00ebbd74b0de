// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gcvit::serve {

/// The bytes of Base64 text (RFC 4648, section 4, with its padding); nothing for another text.
std::optional<std::vector<std::byte>> decode_base64(std::string_view text);

/// The same text of bytes.
std::string encode_base64(std::string_view bytes);

}  // namespace gcvit::serve
