// SPDX-License-Identifier: Apache-2.0
// A Service on sockets: HTTP/1.1 and 1.0, with keep-alive and pipelining, plain or through TLS.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "serve/listener.h"
#include "serve/service.h"
#include "serve/tls.h"

namespace gcvit::serve {

struct ServerOptions {
  std::vector<ListenerOptions> listeners = {ListenerOptions{}};
  std::optional<TlsFiles> tls = std::nullopt;  ///< without, connections are plain
  /// Whether a server without keys that listens to this machine alone answers requests for other names than this machine's.
  bool any_host = false;
  int io_threads = 1;
  std::size_t max_connections = 10'000;
  std::size_t max_header = std::size_t{16} << 10;  ///< bytes
  /// Bytes of all bodies that are read or computed at one time: a request that needs more gets 503.
  std::size_t max_buffered = std::size_t{256} << 20;
  std::chrono::milliseconds deadline{10'000};  ///< from the request's last byte to the answer: later it is 504
  std::chrono::milliseconds idle_timeout{60'000};  ///< of a connection without a request
  std::chrono::milliseconds header_timeout{10'000};  ///< from a head's first byte to its last
  std::chrono::milliseconds body_timeout{
      10'000};  ///< of a body, and a second more for each `body_rate` bytes that came
  std::size_t body_rate = std::size_t{32} << 10;
  std::chrono::milliseconds write_timeout{30'000};
  std::chrono::milliseconds drain_grace{500};  ///< in which a connection without a request may still send one
};

/// Whether a host is this machine itself, to which others can't connect. Throws `Error` for a name that isn't known.
bool is_loopback(const std::string& host);

class Server {
 public:
  /// Listens, and answers from now on. `service` must outlive the server and serves no other. Throws `Error`, of code kIo where an address
  /// can't be had.
  Server(Service& service, const ServerOptions& options);
  /// Ends at once what hasn't ended.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Of a listener, by its place in the options.
  std::uint16_t port(std::size_t listener = 0) const;
  /// "http://127.0.0.1:8080"
  std::string url(std::size_t listener = 0) const;

  /// Reads the certificate and its key again; connections that are open go on. Throws `Error`, and then all stays as it was.
  void reload_tls();

  /// From any thread: takes no new connection, lets every request that has begun to arrive finish, and closes the connections.
  void drain();
  /// Whether every connection is closed behind `drain`. Waits for it no longer than `most`.
  bool wait_until_drained(std::chrono::milliseconds most);

  struct State;  ///< of the connections

 private:
  std::unique_ptr<State> state_;
};

}  // namespace gcvit::serve
