// SPDX-License-Identifier: Apache-2.0
// One client: its requests one after the other, each answered before the next one is read.
#pragma once

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/string_body.hpp>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "serve/body_budget.h"
#include "serve/server.h"
#include "serve/stream.h"

namespace gcvit::serve {

class Connection;

/// What the connections of a server share.
struct Connections {
  Service& service;
  ServerOptions options;
  std::atomic<bool> draining = false;
  BodyBudget bodies{options.max_buffered};

  std::mutex mutex = {};
  std::condition_variable none = {};  ///< there are no connections any more
  std::unordered_map<Connection*, std::weak_ptr<Connection>> open = {};
};

/// What a listener offers, and to whom.
struct Offer {
  RouteGroups groups;
  std::optional<std::string> only_host;  ///< where a browser must not ask for other names than this one and localhost
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  /// Encrypted where there is a context, which isn't used afterwards. `offer` outlives the connection.
  Connection(boost::asio::ip::tcp::socket socket, Connections& shared, const Offer& offer, Tls::Context* context);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void start();
  /// The server drains: a connection without a request is closed soon.
  void drain();

 private:
  using ErrorCode = boost::beast::error_code;

  void shake_hands();
  void wait_for_request();
  void read_head();
  void on_head(ErrorCode error);
  void check_browser() const;
  void send_continue();
  void read_body();
  void on_body(ErrorCode error);
  void compute();
  void on_deadline();
  /// Answers the current request, unless it was answered already.
  void respond(std::uint64_t request, Response response);
  void write(Response response);
  void on_written(ErrorCode error);
  /// Lets the client read the answer to what it hasn't sent completely: closing at once would reset the connection.
  void linger();
  void discard();
  void close();

  Connections& shared_;
  const Offer& offer_;
  Stream stream_;
  boost::asio::steady_timer timer_;  ///< of the deadline; while the server drains, of an idle connection
  boost::beast::flat_buffer buffer_;
  std::optional<boost::beast::http::request_parser<boost::beast::http::string_body>> parser_;
  std::optional<boost::beast::http::response<boost::beast::http::string_body>> response_;
  std::optional<boost::beast::http::response_serializer<boost::beast::http::string_body>> serializer_;
  RequestHead head_;
  Route route_;
  std::string_view route_label_;
  Clock::time_point arrived_;
  Clock::time_point body_began_;
  std::size_t body_bytes_ = 0;  ///< that came
  std::shared_ptr<BodyBudget::Share> body_share_;
  std::size_t discarded_ = 0;
  std::uint64_t request_ = 0;  ///< counts requests
  bool idle_ = false;
  bool answered_ = false;
  bool unread_ = false;  ///< the request's body has not been read to its end
  bool keep_alive_ = false;
};

}  // namespace gcvit::serve
