// SPDX-License-Identifier: Apache-2.0
#include "serve/service_manager.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace gcvit::serve {
namespace {

std::int64_t monotonic_microseconds() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1'000;
}

}  // namespace

ServiceManager::ServiceManager(std::string_view socket) {
  const bool abstract = socket.starts_with('@');
  if ((!abstract && !socket.starts_with('/')) || socket.size() < 2 || socket.size() >= sizeof(address_.sun_path))
    return;
  address_.sun_family = AF_UNIX;
  std::ranges::copy(socket, address_.sun_path);
  if (abstract) address_.sun_path[0] = '\0';
  // An abstract name ends with its size, a path with a zero.
  size_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket.size() + (abstract ? 0 : 1));
  socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

ServiceManager ServiceManager::of_environment() {
  const char* const value = std::getenv("NOTIFY_SOCKET");
  const std::string socket = value == nullptr ? "" : value;
  ::unsetenv("NOTIFY_SOCKET");
  return ServiceManager(socket);
}

ServiceManager::~ServiceManager() {
  if (socket_ >= 0) ::close(socket_);
}

void ServiceManager::ready(std::string_view status) const { send(fmt::format("READY=1\nSTATUS={}", status)); }

void ServiceManager::reloading() const {
  send(fmt::format("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=reading the models again", monotonic_microseconds()));
}

void ServiceManager::stopping() const { send("STOPPING=1\nSTATUS=finishing what was accepted"); }

void ServiceManager::send(const std::string& message) const {
  if (socket_ < 0) return;
  (void)::sendto(socket_, message.data(), message.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address_),
                 size_);
}

}  // namespace gcvit::serve
