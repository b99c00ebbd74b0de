// SPDX-License-Identifier: Apache-2.0
// A client that sends bytes as they are, so that tests can send what no honest client would.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace gcvit::serve {

struct Reply {
  int status = 0;  ///< 0 where the connection ended first
  std::string head;
  std::string body;

  /// A field's value, "" where there is none.
  std::string field(std::string_view name) const {
    const std::size_t at = head.find("\r\n" + std::string(name) + ": ");
    if (at == std::string::npos) return "";
    const std::size_t begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
};

class Client {
 public:
  explicit Client(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
      ::close(socket_);
      throw std::runtime_error("can't connect");
    }
  }
  virtual ~Client() { ::close(socket_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Whether all bytes could be sent.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = put(bytes);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  /// The next response. `to_head`: to a HEAD request, whose response has no body.
  Reply receive(bool to_head = false) {
    Reply reply;
    std::size_t end = 0;
    while ((end = received_.find("\r\n\r\n")) == std::string::npos) {
      if (!more()) return {};
    }
    reply.head = received_.substr(0, end + 2);
    received_.erase(0, end + 4);
    const std::string length = reply.field("Content-Length");
    const std::size_t size = to_head || length.empty() ? 0 : std::stoul(length);
    while (received_.size() < size) {
      if (!more()) return {};
    }
    reply.body = received_.substr(0, size);
    received_.erase(0, size);
    reply.status = std::atoi(reply.head.substr(reply.head.find(' ') + 1, 3).c_str());
    return reply;
  }

  Reply ask(std::string_view request) {
    send(request);
    return receive();
  }

  /// Whether the server closes the connection within `milliseconds`, without sending any more.
  bool is_closed(int milliseconds = 5000) {
    pollfd one = {.fd = socket_, .events = POLLIN, .revents = 0};
    return received_.empty() && ::poll(&one, 1, milliseconds) == 1 && !more();
  }

 protected:
  virtual ssize_t put(std::string_view bytes) { return ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  virtual ssize_t take(std::span<char> bytes) { return ::recv(socket_, bytes.data(), bytes.size(), 0); }
  int socket() const { return socket_; }

 private:
  bool more() {
    char bytes[4096];
    const ssize_t got = take(bytes);
    if (got <= 0) return false;
    received_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }

  int socket_;
  std::string received_;
};

inline std::string get(std::string_view target, std::string_view fields = "") {
  return "GET " + std::string(target) + " HTTP/1.1\r\nHost: test\r\n" + std::string(fields) + "\r\n";
}

inline std::string post(std::string_view target, std::string_view body, std::string_view fields = "") {
  return "POST " + std::string(target) + " HTTP/1.1\r\nHost: test\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + std::string(fields) + "\r\n" + std::string(body);
}

}  // namespace gcvit::serve
