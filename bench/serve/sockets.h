// SPDX-License-Identifier: Apache-2.0
// TCP connections for one thread and epoll.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"

namespace gcvit::bench {

using Clock = std::chrono::steady_clock;

/// A descriptor of its own.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  ~Descriptor() { reset(); }
  Descriptor(Descriptor&& other) noexcept : number_(other.number_) { other.number_ = -1; }
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      reset();
      number_ = other.number_;
      other.number_ = -1;
    }
    return *this;
  }

  int get() const { return number_; }
  bool is_open() const { return number_ >= 0; }
  void reset() {
    if (number_ >= 0) ::close(number_);
    number_ = -1;
  }

 private:
  int number_;
};

inline sockaddr_in address_of(const std::string& host, std::uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) {
    fail("[load] {}: expected an IPv4 address such as 127.0.0.1", host);
  }
  return address;
}

/// A socket that connects or has connected; closed where the server can't be reached.
inline Descriptor connect_to(const sockaddr_in& address) {
  Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.is_open()) fail("[load] can't open a socket: {}", std::strerror(errno));
  const int yes = 1;
  setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  const int connected = ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  if (connected != 0 && errno != EINPROGRESS) socket.reset();
  return socket;
}

class Poller {
 public:
  Poller() : epoll_(epoll_create1(EPOLL_CLOEXEC)), events_(kMostEvents) {
    if (!epoll_.is_open()) fail("[load] can't make an epoll descriptor: {}", std::strerror(errno));
  }

  void add(int descriptor, std::uint32_t events, std::uint64_t key) { control(EPOLL_CTL_ADD, descriptor, events, key); }
  void change(int descriptor, std::uint32_t events, std::uint64_t key) {
    control(EPOLL_CTL_MOD, descriptor, events, key);
  }

  /// Waits until the time with the clock's own precision: milliseconds would be added to what is measured.
  std::span<const epoll_event> wait_until(Clock::time_point time) {
    const auto left = std::max(Clock::duration(0), time - Clock::now());
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    const timespec timeout = {.tv_sec = seconds.count(), .tv_nsec = std::chrono::nanoseconds(left - seconds).count()};
    const int count = epoll_pwait2(epoll_.get(), events_.data(), kMostEvents, &timeout, nullptr);
    if (count < 0 && errno != EINTR) fail("[load] epoll: {}", std::strerror(errno));
    return std::span(events_).first(static_cast<std::size_t>(std::max(0, count)));
  }

 private:
  static constexpr int kMostEvents = 256;

  void control(int operation, int descriptor, std::uint32_t events, std::uint64_t key) {
    epoll_event event = {};
    event.events = events;
    event.data.u64 = key;
    if (epoll_ctl(epoll_.get(), operation, descriptor, &event) != 0) {
      fail("[load] epoll: {}", std::strerror(errno));
    }
  }

  Descriptor epoll_;
  std::vector<epoll_event> events_;
};

/// As many descriptors as this process may have.
inline void raise_descriptor_limit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  static_cast<void>(setrlimit(RLIMIT_NOFILE, &limit));
}

}  // namespace gcvit::bench
