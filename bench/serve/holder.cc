// SPDX-License-Identifier: Apache-2.0
#include "holder.h"

#include <algorithm>
#include <array>
#include <iostream>
#include <string_view>

namespace gcvit::bench {
namespace {

constexpr std::uint64_t kInput = ~std::uint64_t{0};  // the key of the standard input
constexpr std::chrono::milliseconds kLongestWait{100};
constexpr std::size_t kTurns = 100;  // of a drip: in each a hundredth of the connections sends its byte
constexpr std::string_view kHead = "POST /v1/classify HTTP/1.1\r\nHost: slow\r\nX-Slow: ";

class Holder {
 public:
  explicit Holder(const HoldOptions& options)
      : options_(options), address_(address_of(options.host, options.port)), connections_(options.connections) {}

  HoldReport run() {
    for (std::size_t i = 0; i < connections_.size(); ++i) open(i);
    std::cout << "holding " << options_.connections << std::endl;
    poller_.add(STDIN_FILENO, EPOLLIN, kInput);
    const auto pause = std::chrono::duration_cast<Clock::duration>(
        std::chrono::duration<double>(options_.drip / static_cast<double>(kTurns)));
    Clock::time_point next = Clock::now();
    for (std::size_t turn = 0; !ended_; turn %= kTurns) {
      // Not all at once, which no crowd of clients would do.
      if (options_.drip > 0.0 && Clock::now() >= next) {
        next += pause;
        for (std::size_t i = turn++; i < connections_.size(); i += kTurns) send_byte(i);
      }
      const Clock::time_point latest = Clock::now() + kLongestWait;
      for (const epoll_event& event : poller_.wait_until(options_.drip > 0.0 ? std::min(next, latest) : latest)) {
        on_event(event.data.u64);
      }
    }
    for (const Connection& one : connections_) report_.open += one.socket.is_open() ? 1 : 0;
    return report_;
  }

 private:
  struct Connection {
    Descriptor socket;
    std::size_t sent = 0;
  };

  void open(std::size_t index) {
    connections_[index] = {.socket = connect_to(address_)};
    if (!connections_[index].socket.is_open()) return;
    poller_.add(connections_[index].socket.get(), EPOLLIN, index);
    ++report_.opened;
  }

  void send_byte(std::size_t index) {
    Connection& connection = connections_[index];
    if (!connection.socket.is_open()) return open(index);
    const char byte = connection.sent < kHead.size() ? kHead[connection.sent] : 'a';
    ++connection.sent;
    static_cast<void>(::send(connection.socket.get(), &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT));
  }

  void on_event(std::uint64_t key) {
    std::array<char, 4096> bytes;
    if (key == kInput) {
      ended_ = ::read(STDIN_FILENO, bytes.data(), bytes.size()) <= 0;
      return;
    }
    Connection& connection = connections_[key];
    const ssize_t received = ::recv(connection.socket.get(), bytes.data(), bytes.size(), 0);
    if (received > 0 || (received < 0 && errno == EAGAIN)) return;
    ++report_.closed;
    connection.socket.reset();
  }

  const HoldOptions& options_;
  const sockaddr_in address_;
  Poller poller_;
  std::vector<Connection> connections_;
  HoldReport report_;
  bool ended_ = false;
};

}  // namespace

HoldReport hold(const HoldOptions& options) { return Holder(options).run(); }

}  // namespace gcvit::bench
