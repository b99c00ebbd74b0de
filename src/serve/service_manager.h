// SPDX-License-Identifier: Apache-2.0
// What the service manager that started this process is told about it: the protocol of systemd's sd_notify(3).
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <string>
#include <string_view>

namespace gcvit::serve {

/// Each message is a datagram to the manager's socket. One that can't be sent is lost: the manager has time limits of its own.
class ServiceManager {
 public:
  /// `socket` is the value of NOTIFY_SOCKET: the path of a Unix socket, or "@" and the name of an abstract one. With any other value
  /// nobody is told anything.
  explicit ServiceManager(std::string_view socket);
  /// The one that NOTIFY_SOCKET names, which is removed from the environment.
  static ServiceManager of_environment();
  ~ServiceManager();
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  /// `status` is one line for `systemctl status`.
  void ready(std::string_view status) const;
  /// `ready` must follow.
  void reloading() const;
  void stopping() const;

 private:
  void send(const std::string& message) const;

  sockaddr_un address_ = {};
  socklen_t size_ = 0;
  int socket_ = -1;  ///< where there is a manager
};

}  // namespace gcvit::serve
