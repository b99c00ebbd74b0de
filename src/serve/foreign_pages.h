// SPDX-License-Identifier: Apache-2.0
// What a page of another site can make a browser ask for, and must not get: a browser on this machine, or inside the network, reaches
// servers that the page's author can't.
#pragma once

#include <string_view>

#include "serve/request_head.h"

namespace gcvit::serve {

/// Throws `Refusal` 403 where a page of another site than the one that is asked made the browser send the request.
void check_origin(const RequestHead& head);

/// Throws `Refusal` 403 where the client asks for a name that isn't localhost, an address or `own_name`: a page whose name's address was
/// changed to this machine's (DNS rebinding) asks for its own name, and nothing else tells it from a page of this server.
void check_host(const RequestHead& head, std::string_view own_name);

}  // namespace gcvit::serve
