// SPDX-License-Identifier: Apache-2.0
// Bodies with a Content-Encoding.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gcvit::serve {

/// The bytes of `body` before the Content-Encoding: "" and "identity" leave it as it is, "gzip", "x-gzip" and "deflate" are undone.
/// Throws `Refusal`: 415 for another encoding, 400 for data that is broken, cut short or followed by more, 413 once there are more than
/// `most_bytes` bytes.
std::string decompress(std::string body, std::string_view encoding, std::size_t most_bytes);

}  // namespace gcvit::serve
