// SPDX-License-Identifier: Apache-2.0
#include "serve/listener.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "base/error.h"
#include "serve/fields.h"

namespace gcvit::serve {

ListenerOptions parse_listener(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  const std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.starts_with('[') && host.ends_with(']');
  const auto port = colon == std::string_view::npos ? std::nullopt : parse_number(text.substr(colon + 1));
  if (host.empty() || !port || *port > std::numeric_limits<std::uint16_t>::max() ||
      (!bracketed && host.find_first_of("[]:") != std::string_view::npos)) {
    fail(ErrorCode::kInvalidArgument,
         "[serve] expected on, off or HOST:PORT, with an IPv6 address in brackets, found \"{}\"", text);
  }
  return {.host = std::string(bracketed ? host.substr(1, host.size() - 2) : host),
          .port = static_cast<std::uint16_t>(*port),
          .groups = {}};
}

std::vector<ListenerOptions> place(const ListenerOptions& main, std::span<const Placement> placements) {
  std::vector<ListenerOptions> listeners = {main};
  for (const Placement& placement : placements) {
    listeners.front().groups.remove(placement.group);
    if (placement.where == "off") continue;
    const ListenerOptions wanted = placement.where == "on" ? main : parse_listener(placement.where);
    auto found = std::ranges::find_if(listeners, [&](const ListenerOptions& one) {
      return one.port == wanted.port && one.host == wanted.host && (one.port != 0 || placement.where == "on");
    });
    if (found == listeners.end()) found = listeners.insert(found, wanted);
    found->groups.add(placement.group);
  }
  return listeners;
}

std::string name_of(std::string_view host, std::uint16_t port) {
  const bool is_ipv6 = host.find(':') != std::string_view::npos;
  return is_ipv6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

}  // namespace gcvit::serve
