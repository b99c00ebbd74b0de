// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace gcvit::report {

/// `text` for HTML and XML, between tags as inside quotes. Names of files and classes come from strangers: what has a
/// meaning there is escaped, and the text is made printable.
std::string escaped(std::string_view text);

/// "data:TYPE;base64,...": bytes inside a page.
std::string data_uri(std::string_view type, std::string_view bytes);

}  // namespace gcvit::report
