// SPDX-License-Identifier: Apache-2.0
#include "serve/server.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <exception>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "serve/connection.h"

namespace gcvit::serve {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using SocketError = boost::system::error_code;

/// Until descriptors may be free again.
constexpr std::chrono::milliseconds kAcceptPause{50};

tcp::endpoint resolve(const std::string& host, std::uint16_t port) {
  SocketError error;
  const asio::ip::address address = asio::ip::make_address(host, error);
  if (!error) return {address, port};
  asio::io_context context;
  tcp::resolver resolver(context);
  const auto found = resolver.resolve(host, std::to_string(port), tcp::resolver::passive, error);
  if (error || found.empty()) {
    fail(ErrorCode::kNotFound, "[serve] {}: expected an address or a name that stands for one, found: {}", host,
         error.message());
  }
  return found.begin()->endpoint();
}

/// An address on which the server accepts connections.
struct Listener {
  ListenerOptions options;
  Offer offer;
  tcp::endpoint endpoint;
  tcp::acceptor acceptor;
  asio::steady_timer pause;

  template <typename Executor>
  Listener(const ListenerOptions& chosen, const Executor& executor)
      : options(chosen),
        offer{.groups = chosen.groups, .only_host = std::nullopt},
        endpoint(resolve(chosen.host, chosen.port)),
        acceptor(executor),
        pause(executor) {}

  void listen() {
    try {
      acceptor.open(endpoint.protocol());
      acceptor.set_option(tcp::acceptor::reuse_address(true));
      acceptor.bind(endpoint);
      acceptor.listen(asio::socket_base::max_listen_connections);
      endpoint = acceptor.local_endpoint();
    } catch (const boost::system::system_error& error) {
      fail(ErrorCode::kIo, "[serve] {}: expected an address to listen on, found: {}",
           name_of(options.host, options.port), error.code().message());
    }
  }
};

}  // namespace

struct Server::State {
  Connections connections;  // outlives the context, whose handlers hold connections
  asio::io_context context;
  bool accepting = true;  ///< guarded by the connections' mutex
  asio::strand<asio::io_context::executor_type> strand;  ///< of the listeners
  std::optional<Tls> tls;
  std::vector<std::unique_ptr<Listener>> listeners;
  asio::executor_work_guard<asio::io_context::executor_type> work;
  std::vector<std::thread> threads;

  State(Service& service, const ServerOptions& options)
      : connections{.service = service, .options = options},
        strand(asio::make_strand(context)),
        work(asio::make_work_guard(context)) {
    if (options.tls) tls.emplace(*options.tls);
    for (const ListenerOptions& one : options.listeners) {
      listeners.push_back(std::make_unique<Listener>(one, strand));
      Listener& listener = *listeners.back();
      if (listener.endpoint.address().is_loopback() && service.options().keys.empty() && !options.any_host) {
        listener.offer.only_host = one.host;
      }
    }
  }

  void accept(Listener& listener) {
    listener.acceptor.async_accept(asio::make_strand(context),
                                   [this, &listener](SocketError error, tcp::socket socket) {
                                     if (!error) add(std::move(socket), listener.offer);
                                     if (!listener.acceptor.is_open()) return;
                                     if (!error) return accept(listener);
                                     listener.pause.expires_after(kAcceptPause);
                                     listener.pause.async_wait([this, &listener](SocketError stopped) {
                                       if (!stopped) accept(listener);
                                     });
                                   });
  }

  void add(tcp::socket socket, const Offer& offer) {
    SocketError ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    const std::shared_ptr<Tls::Context> encryption = tls ? tls->context() : nullptr;
    std::shared_ptr<Connection> connection;
    {
      const std::scoped_lock lock(connections.mutex);
      if (connections.open.size() >= connections.options.max_connections) {
        connections.service.metrics().count_error("too_many_connections");
        return;  // which closes it
      }
      connection = std::make_shared<Connection>(std::move(socket), connections, offer, encryption.get());
      connections.open.emplace(connection.get(), connection);
    }
    connection->start();
  }

  /// On the strand.
  void stop_accepting() {
    if (!accepting) return;
    for (const auto& listener : listeners) stop_accepting(*listener);
    // Behind the handlers of connections that were accepted at the same time.
    asio::post(strand, [this] { drain_connections(); });
  }

  void stop_accepting(Listener& listener) {
    // What the system has accepted is ours already.
    SocketError error;
    listener.acceptor.non_blocking(true, error);
    while (!error) {
      tcp::socket socket(asio::make_strand(context));
      listener.acceptor.accept(socket, error);
      if (!error) add(std::move(socket), listener.offer);
    }
    listener.acceptor.close(error);
    listener.pause.cancel();
  }

  void drain_connections() {
    std::vector<std::shared_ptr<Connection>> open;
    {
      const std::scoped_lock lock(connections.mutex);
      for (const auto& [address, connection] : connections.open) {
        if (auto one = connection.lock()) open.push_back(std::move(one));
      }
      accepting = false;
      if (connections.open.empty()) connections.none.notify_all();
    }
    for (const auto& connection : open) connection->drain();
    work.reset();
  }

  void run() noexcept {
    while (true) {
      try {
        context.run();
        return;
      } catch (const std::exception&) {
        // Of memory that has run out: the connection whose handler threw is gone, the others go on.
        connections.service.metrics().count_error("exhausted");
      }
    }
  }
};

bool is_loopback(const std::string& host) { return resolve(host, 0).address().is_loopback(); }

Server::Server(Service& service, const ServerOptions& options) : state_(std::make_unique<State>(service, options)) {
  for (const auto& listener : state_->listeners) listener->listen();
  for (const auto& listener : state_->listeners) state_->accept(*listener);
  try {
    for (int i = 0; i < options.io_threads; ++i) {
      state_->threads.emplace_back([this] { state_->run(); });
    }
  } catch (const std::system_error& error) {
    state_->context.stop();
    for (std::thread& thread : state_->threads) thread.join();
    fail(ErrorCode::kIo, "[serve] can't start {} threads: {}", options.io_threads, error.code().message());
  }
}

Server::~Server() {
  state_->context.stop();
  for (std::thread& thread : state_->threads) thread.join();
  state_->connections.service.cancel();  // whose results still go to connections
}

std::uint16_t Server::port(std::size_t listener) const { return state_->listeners.at(listener)->endpoint.port(); }

std::string Server::url(std::size_t listener) const {
  const tcp::endpoint& endpoint = state_->listeners.at(listener)->endpoint;
  return fmt::format("{}://{}", state_->tls ? "https" : "http",
                     name_of(endpoint.address().to_string(), endpoint.port()));
}

void Server::reload_tls() {
  if (state_->tls) state_->tls->reload();
}

void Server::drain() {
  state_->connections.service.drain();
  state_->connections.draining = true;
  asio::post(state_->strand, [this] { state_->stop_accepting(); });
}

bool Server::wait_until_drained(std::chrono::milliseconds most) {
  std::unique_lock lock(state_->connections.mutex);
  return state_->connections.none.wait_for(lock, most,
                                           [&] { return !state_->accepting && state_->connections.open.empty(); });
}

}  // namespace gcvit::serve
