// SPDX-License-Identifier: Apache-2.0
// The bytes of a connection, plain or through TLS: which of the two it is, reading and writing decide piece by piece, so that all above is
// written once.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_stream.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <memory>
#include <utility>

#include "serve/tls.h"

namespace gcvit::serve {

class Stream {
 public:
  using executor_type = boost::beast::tcp_stream::executor_type;
  using Socket = boost::asio::ip::tcp::socket;

  /// Without a context it is plain.
  Stream(Socket socket, Tls::Context* context) : tcp_(std::move(socket)) {
    if (context != nullptr) tls_ = std::make_unique<Encrypted>(tcp_, *context);
  }

  executor_type get_executor() { return tcp_.get_executor(); }
  bool is_encrypted() const { return tls_ != nullptr; }
  /// What carries the bytes: its timeout and its end are those of the stream.
  boost::beast::tcp_stream& tcp() { return tcp_; }

  using Side = boost::asio::ssl::stream_base::handshake_type;
  /// Of an encrypted stream alone.
  template <typename Handler>
  void async_handshake(Side side, Handler&& handler) {
    tls_->next_layer().async_handshake(side, std::forward<Handler>(handler));
  }

  template <typename Buffers, typename Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler) {
    if (tls_) {
      tls_->async_read_some(buffers, std::forward<Handler>(handler));
    } else {
      tcp_.async_read_some(buffers, std::forward<Handler>(handler));
    }
  }

  template <typename Buffers, typename Handler>
  void async_write_some(const Buffers& buffers, Handler&& handler) {
    if (tls_) {
      tls_->async_write_some(buffers, std::forward<Handler>(handler));
    } else {
      tcp_.async_write_some(buffers, std::forward<Handler>(handler));
    }
  }

  /// Tells the client that nothing more comes, then calls `done()`. Its own bytes may still come, at `tcp()`.
  template <typename Done>
  void async_finish(Done done) {
    if (!tls_) return finish_tcp(done);
    // It ends with whatever the client does next: its own end, or more data, which is an error.
    tls_->next_layer().async_shutdown([this, done = std::move(done)](boost::beast::error_code) { finish_tcp(done); });
  }

 private:
  /// Flat, so that the head and the body of a short answer are one record.
  using Encrypted = boost::beast::flat_stream<boost::asio::ssl::stream<boost::beast::tcp_stream&>>;

  template <typename Done>
  void finish_tcp(const Done& done) {
    boost::beast::error_code ignored;
    tcp_.socket().shutdown(Socket::shutdown_send, ignored);
    done();
  }

  boost::beast::tcp_stream tcp_;
  std::unique_ptr<Encrypted> tls_;
};

}  // namespace gcvit::serve
