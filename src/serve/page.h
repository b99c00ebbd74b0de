// SPDX-License-Identifier: Apache-2.0
// How the page's files are served.
#pragma once

#include <string_view>

#include "serve/service.h"

namespace gcvit::serve {

/// The file of the page, which is "index.html" for an empty name; 304 where the client has it already. `if_none_match` is the request's
/// field, or empty. Throws `Refusal` 404 where there is no such file.
Response page_response(std::string_view name, std::string_view if_none_match);

}  // namespace gcvit::serve
