// SPDX-License-Identifier: Apache-2.0
// Where a server listens, and what it offers there.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "serve/router.h"

namespace gcvit::serve {

struct ListenerOptions {
  std::string host = "127.0.0.1";  ///< an address, or a name that stands for one
  std::uint16_t port = 8080;       ///< 0 for one that is free
  RouteGroups groups = RouteGroups::all();
};

/// Where a group of routes is offered: "on" for the main listener, "off", or "HOST:PORT".
struct Placement {
  RouteGroup group;
  std::string where = "on";
};

/// Reads "HOST:PORT", with an IPv6 address in brackets. It offers only health. Throws `Error`.
ListenerOptions parse_listener(std::string_view text);

/// The main listener, and behind it those that placements name. The same HOST:PORT is one listener, but port 0 is another port each time.
/// Throws `Error`.
std::vector<ListenerOptions> place(const ListenerOptions& main, std::span<const Placement> placements);

/// "127.0.0.1:8080", "[::1]:8080"
std::string name_of(std::string_view host, std::uint16_t port);

}  // namespace gcvit::serve
