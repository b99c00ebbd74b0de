// SPDX-License-Identifier: Apache-2.0
#include "serve/server.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <exception>
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

}  // namespace

bool is_loopback(const std::string& host) { return resolve(host, 0).address().is_loopback(); }

struct Server::State {
  Connections connections;  // outlives the context, whose handlers hold connections
  asio::io_context context;
  bool accepting = true;  ///< guarded by the connections' mutex
  asio::strand<asio::io_context::executor_type> strand;  ///< of the acceptor and its timer
  tcp::acceptor acceptor;
  asio::steady_timer pause;
  tcp::endpoint endpoint;
  asio::executor_work_guard<asio::io_context::executor_type> work;
  std::vector<std::thread> threads;

  State(Service& service, const ServerOptions& options)
      : connections{.service = service, .options = options},
        strand(asio::make_strand(context)),
        acceptor(strand),
        pause(strand),
        endpoint(resolve(options.host, options.port)),
        work(asio::make_work_guard(context)) {}

  void listen() {
    try {
      acceptor.open(endpoint.protocol());
      acceptor.set_option(tcp::acceptor::reuse_address(true));
      acceptor.bind(endpoint);
      acceptor.listen(asio::socket_base::max_listen_connections);
      endpoint = acceptor.local_endpoint();
    } catch (const boost::system::system_error& error) {
      fail(ErrorCode::kIo, "[serve] {}:{}: expected an address to listen on, found: {}", connections.options.host,
           connections.options.port, error.code().message());
    }
  }

  void accept() {
    acceptor.async_accept(asio::make_strand(context), [this](SocketError error, tcp::socket socket) {
      if (!error) add(std::move(socket));
      if (!acceptor.is_open()) return;
      if (!error) return accept();
      pause.expires_after(kAcceptPause);
      pause.async_wait([this](SocketError stopped) {
        if (!stopped) accept();
      });
    });
  }

  void add(tcp::socket socket) {
    SocketError ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    std::shared_ptr<Connection> connection;
    {
      const std::scoped_lock lock(connections.mutex);
      if (connections.open.size() >= connections.options.max_connections) {
        connections.service.metrics().count_error("too_many_connections");
        return;  // which closes it
      }
      connection = std::make_shared<Connection>(std::move(socket), connections);
      connections.open.emplace(connection.get(), connection);
    }
    connection->start();
  }

  /// On the strand.
  void stop_accepting() {
    // What the system has accepted is ours already.
    SocketError error;
    acceptor.non_blocking(true, error);
    while (!error) {
      tcp::socket socket(asio::make_strand(context));
      acceptor.accept(socket, error);
      if (!error) add(std::move(socket));
    }
    acceptor.close(error);
    pause.cancel();
    // Behind the handler of a connection that was accepted at the same time.
    asio::post(strand, [this] { drain_connections(); });
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

Server::Server(Service& service, const ServerOptions& options) : state_(std::make_unique<State>(service, options)) {
  state_->listen();
  state_->accept();
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

std::uint16_t Server::port() const { return state_->endpoint.port(); }

std::string Server::url() const {
  const asio::ip::address address = state_->endpoint.address();
  const std::string host = address.is_v6() ? fmt::format("[{}]", address.to_string()) : address.to_string();
  return fmt::format("http://{}:{}", host, port());
}

void Server::drain() {
  state_->connections.service.drain();
  state_->connections.draining = true;
  asio::post(state_->strand, [this] {
    if (state_->acceptor.is_open()) state_->stop_accepting();
  });
}

bool Server::wait_until_drained(std::chrono::milliseconds most) {
  std::unique_lock lock(state_->connections.mutex);
  return state_->connections.none.wait_for(lock, most,
                                           [&] { return !state_->accepting && state_->connections.open.empty(); });
}

}  // namespace gcvit::serve
