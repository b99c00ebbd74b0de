// SPDX-License-Identifier: Apache-2.0
#include "serve/foreign_pages.h"

#include <boost/asio/ip/address.hpp>
#include <string>

#include "serve/fields.h"
#include "serve/refusal.h"

namespace gcvit::serve {
namespace {

constexpr std::string_view kLocalhost = "localhost";

/// Of "name:port", "address:port" or "[address]:port".
std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.find(':'));
}

bool is_address(std::string_view name) {
  boost::system::error_code error;
  (void)boost::asio::ip::make_address(std::string(name), error);
  return !error;
}

bool is_localhost(std::string_view name) {
  if (name.size() < kLocalhost.size()) return false;
  const std::size_t rest = name.size() - kLocalhost.size();
  return equals_ignoring_case(name.substr(rest), kLocalhost) && (rest == 0 || name[rest - 1] == '.');
}

}  // namespace

void check_origin(const RequestHead& head) {
  if (head.origin.empty()) return;
  const std::size_t scheme = head.origin.find("://");
  if (scheme != std::string::npos &&
      equals_ignoring_case(std::string_view(head.origin).substr(scheme + 3), head.host)) {
    return;
  }
  refuse(403, "origin", "Origin: expected a page of {}, found one of {}", head.host, head.origin);
}

void check_host(const RequestHead& head, std::string_view own_name) {
  const std::string_view name = without_port(head.host);
  if (name.empty() || is_localhost(name) || is_address(name) || equals_ignoring_case(name, own_name)) return;
  refuse(403, "host", "Host: expected localhost or an address of this machine, found {}", head.host);
}

}  // namespace gcvit::serve
