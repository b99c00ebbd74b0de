// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace gcvit::report {

/// Escapes `text` for HTML and XML, in text and in quoted attributes, and makes it printable, as names of files and classes
/// are untrusted.
std::string escaped(std::string_view text);

/// "data:TYPE;base64,...": bytes inside a page.
std::string data_uri(std::string_view type, std::string_view bytes);

}  // namespace gcvit::report
