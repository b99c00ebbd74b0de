// SPDX-License-Identifier: Apache-2.0
#include "serve/probe.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <cstddef>
#include <string_view>

#include "base/error.h"
#include "serve/stream.h"

namespace gcvit::serve {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::asio::ip::tcp;

struct Address {
  bool encrypted;
  std::string authority;  ///< host and port as the URL has them
  std::string host;
  std::string port;
};

Address parse_url(const std::string& url) {
  constexpr std::string_view kPlain = "http://";
  constexpr std::string_view kEncrypted = "https://";
  std::string_view text = url;
  const auto refuse_url = [&] { fail("[serve] {}: expected http://HOST:PORT or https://HOST:PORT", url); };
  const bool encrypted = text.starts_with(kEncrypted);
  if (!encrypted && !text.starts_with(kPlain)) refuse_url();
  text.remove_prefix(encrypted ? kEncrypted.size() : kPlain.size());
  if (text.ends_with('/')) text.remove_suffix(1);
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || text.find('/') != std::string_view::npos) refuse_url();
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return {.encrypted = encrypted,
          .authority = std::string(text),
          .host = std::string(host),
          .port = std::string(text.substr(colon + 1))};
}

/// One request, with time limits that Beast has for asynchronous calls alone.
class Question {
 public:
  Question(const Address& address, std::chrono::milliseconds patience)
      : encrypted_(address.encrypted), stream_(tcp::socket(context_), encrypted_ ? &tls_ : nullptr) {
    request_.set(http::field::host, address.authority);
    tcp::resolver resolver(context_);
    const auto endpoints = resolver.resolve(address.host, address.port, error_);
    if (error_) return;
    stream_.tcp().expires_after(patience);
    stream_.tcp().async_connect(endpoints, [this](beast::error_code error, const tcp::endpoint&) {
      if (failed(error)) return;
      if (encrypted_) {
        shake_hands();
      } else {
        write();
      }
    });
    context_.run();
  }

  beast::error_code error() const { return error_; }
  unsigned status() const { return response_.result_int(); }

 private:
  bool failed(beast::error_code error) {
    error_ = error;
    return error.failed();
  }
  void shake_hands() {
    stream_.async_handshake(Stream::Side::client, [this](beast::error_code error) {
      if (!failed(error)) write();
    });
  }
  void write() {
    http::async_write(stream_, request_, [this](beast::error_code error, std::size_t) {
      if (!failed(error)) read();
    });
  }
  void read() {
    http::async_read(stream_, buffer_, response_, [this](beast::error_code error, std::size_t) { failed(error); });
  }

  boost::asio::io_context context_;
  boost::asio::ssl::context tls_{boost::asio::ssl::context::tls_client};  // which verifies nothing unless told to
  bool encrypted_;
  Stream stream_;
  beast::flat_buffer buffer_;
  http::request<http::empty_body> request_{http::verb::get, "/v2/health/ready", 11};
  http::response<http::string_body> response_;
  beast::error_code error_;
};

}  // namespace

void expect_ready(const std::string& url, std::chrono::milliseconds patience) {
  const Question question(parse_url(url), patience);
  if (question.error()) {
    fail(ErrorCode::kIo, "[serve] {}: expected a server that is ready, found: {}", url, question.error().message());
  }
  if (question.status() != 200) {
    fail(ErrorCode::kIo, "[serve] {}: expected a server that is ready, found status {}", url, question.status());
  }
}

}  // namespace gcvit::serve
