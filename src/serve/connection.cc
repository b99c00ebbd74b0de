// SPDX-License-Identifier: Apache-2.0
#include "serve/connection.h"

#include <algorithm>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <ctime>
#include <utility>

#include "gcvit/version.h"
#include "serve/foreign_pages.h"

namespace gcvit::serve {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;

constexpr std::size_t kBufferBytes = std::size_t{64} << 10;  // a head, or a piece of a body
constexpr std::size_t kFirstRead = 2048;
constexpr std::size_t kMostDiscarded = std::size_t{64} << 20;
constexpr std::chrono::seconds kLinger{2};
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
constexpr std::string_view kNoRoute = "none";

/// "Mon, 30 Nov 2026 12:00:00 GMT", in English whatever the locale.
std::string http_date() {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t now = std::time(nullptr);
  std::tm utc = {};
  gmtime_r(&now, &utc);
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", kDays[utc.tm_wday], utc.tm_mday, kMonths[utc.tm_mon],
                     utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

Refusal refusal_of_parser(const beast::error_code& error, std::size_t max_body, std::size_t max_header) {
  if (error == http::error::body_limit) {
    return {413, "too_large", fmt::format("[serve] body: expected at most {} bytes, found more", max_body)};
  }
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return {431, "head_too_large", fmt::format("[serve] head: expected at most {} bytes, found more", max_header)};
  }
  return {400, "invalid_http", fmt::format("[serve] expected a request in HTTP/1.1, found: {}", error.message())};
}

/// Whether an error says that the client has gone, was too slow or broke TLS, so that there is nobody to answer. What the parser finds is of
/// HTTP's category.
bool is_end_of_connection(const beast::error_code& error) {
  return error == http::error::end_of_stream || error == http::error::partial_message ||
         error.category() != beast::error_code(http::error::end_of_stream).category();
}

}  // namespace

Connection::Connection(asio::ip::tcp::socket socket, Connections& shared, const Offer& offer, Tls::Context* context)
    : shared_(shared),
      offer_(offer),
      stream_(std::move(socket), context),
      timer_(stream_.get_executor()),
      buffer_(kBufferBytes) {
  ++shared_.service.metrics().connections;
}

Connection::~Connection() {
  body_share_.reset();
  --shared_.service.metrics().connections;
  const std::scoped_lock lock(shared_.mutex);
  shared_.open.erase(this);
  if (shared_.open.empty()) shared_.none.notify_all();
}

void Connection::start() {
  asio::dispatch(stream_.get_executor(), [self = shared_from_this()] { self->shake_hands(); });
}

void Connection::drain() {
  asio::post(stream_.get_executor(), [self = shared_from_this()] {
    if (!self->idle_) return;
    self->timer_.expires_after(self->shared_.options.drain_grace);
    self->timer_.async_wait([self](ErrorCode error) {
      if (!error && self->idle_) self->stream_.tcp().cancel();
    });
  });
}

void Connection::shake_hands() {
  if (!stream_.is_encrypted()) return wait_for_request();
  idle_ = true;
  stream_.tcp().expires_after(shared_.options.header_timeout);
  stream_.async_handshake(Stream::Side::server, [self = shared_from_this()](ErrorCode error) {
    self->idle_ = false;
    self->timer_.cancel();
    if (!error) return self->wait_for_request();
    self->shared_.service.metrics().count_error("tls");
    self->linger();  // for the client to read why
  });
}

void Connection::wait_for_request() {
  ++request_;
  answered_ = false;
  unread_ = false;
  keep_alive_ = false;
  route_label_ = kNoRoute;
  parser_.emplace();
  parser_->header_limit(static_cast<std::uint32_t>(shared_.options.max_header));
  parser_->body_limit(shared_.service.options().max_body);
  if (buffer_.size() > 0) return read_head();
  buffer_.shrink_to_fit();  // an idle connection keeps no buffer
  idle_ = true;
  stream_.tcp().expires_after(shared_.draining ? shared_.options.drain_grace : shared_.options.idle_timeout);
  stream_.async_read_some(buffer_.prepare(kFirstRead), [self = shared_from_this()](ErrorCode error, std::size_t bytes) {
    self->idle_ = false;
    self->timer_.cancel();
    if (error) return self->close();
    self->buffer_.commit(bytes);
    self->read_head();
  });
}

void Connection::read_head() {
  stream_.tcp().expires_after(shared_.options.header_timeout);
  http::async_read_header(stream_, buffer_, *parser_,
                          [self = shared_from_this()](ErrorCode error, std::size_t) { self->on_head(error); });
}

void Connection::on_head(ErrorCode error) {
  arrived_ = Clock::now();
  if (error && is_end_of_connection(error)) return close();
  unread_ = !parser_->is_done();
  try {
    if (error) {
      throw refusal_of_parser(error, shared_.service.options().max_body, shared_.options.max_header);
    }
    head_ = serve::read_head(parser_->get());
    keep_alive_ = parser_->get().keep_alive();
    if (shared_.service.options().keys.empty()) check_browser();
    route_ = shared_.service.admit(head_, offer_.groups);
    route_label_ = route_.row->pattern;
    body_share_ = std::make_shared<BodyBudget::Share>(shared_.bodies);
    body_share_->take(head_.content_length.value_or(0));
  } catch (const Error& refused) {
    return respond(request_, response_of(refusal_of(refused)));
  }
  // Beast reads no more at one time than the buffer has room for, which for a head is little.
  if (unread_) buffer_.reserve(std::min<std::uint64_t>(kBufferBytes, head_.content_length.value_or(kBufferBytes)));
  body_began_ = arrived_;
  body_bytes_ = 0;
  if (head_.expects_continue && unread_ && buffer_.size() == 0) return send_continue();
  read_body();
}

/// Who has a key, which no browser adds by itself, may be a page of any site.
void Connection::check_browser() const {
  check_origin(head_);
  if (offer_.only_host) check_host(head_, *offer_.only_host);
}

void Connection::send_continue() {
  stream_.tcp().expires_after(shared_.options.write_timeout);
  asio::async_write(stream_, asio::buffer(kContinue.data(), kContinue.size()),
                    [self = shared_from_this()](ErrorCode error, std::size_t) {
                      if (error) return self->close();
                      self->read_body();
                    });
}

void Connection::read_body() {
  if (parser_->is_done()) return compute();
  const ServerOptions& options = shared_.options;
  const std::chrono::milliseconds earned(static_cast<std::int64_t>(1000 * body_bytes_ / options.body_rate));
  stream_.tcp().expires_at(body_began_ + options.body_timeout + earned);
  http::async_read_some(stream_, buffer_, *parser_, [self = shared_from_this()](ErrorCode error, std::size_t bytes) {
    self->body_bytes_ += bytes;
    self->on_body(error);
  });
}

void Connection::on_body(ErrorCode error) {
  if (error && is_end_of_connection(error)) return close();
  try {
    if (error) throw refusal_of_parser(error, shared_.service.options().max_body, shared_.options.max_header);
    const std::size_t bytes = parser_->get().body().size();
    if (bytes > body_share_->taken()) body_share_->take(bytes - body_share_->taken());
  } catch (const Error& refused) {
    keep_alive_ = false;
    return respond(request_, response_of(refusal_of(refused)));
  }
  read_body();
}

void Connection::compute() {
  unread_ = false;
  arrived_ = Clock::now();
  stream_.tcp().expires_never();
  timer_.expires_after(shared_.options.deadline);
  timer_.async_wait([self = shared_from_this(), request = request_](ErrorCode error) {
    if (!error && request == self->request_) self->on_deadline();
  });
  shared_.service.handle({.head = std::move(head_),
                          .route = route_,
                          .body = std::move(parser_->get().body()),
                          .body_share = body_share_,
                          .arrived = arrived_,
                          .deadline = arrived_ + shared_.options.deadline},
                         [self = shared_from_this(), request = request_](Service::Respond make) {
                           asio::dispatch(self->stream_.get_executor(), [self, request, make = std::move(make)] {
                             if (request == self->request_ && !self->answered_) self->respond(request, make());
                           });
                         });
}

void Connection::on_deadline() {
  respond(request_, response_of(Refusal(504, "deadline",
                                        fmt::format("[serve] expected an answer within {} ms, found none",
                                                    shared_.options.deadline.count()))));
}

void Connection::respond(std::uint64_t request, Response response) {
  if (request != request_ || answered_) return;
  answered_ = true;
  timer_.cancel();
  Metrics& metrics = shared_.service.metrics();
  metrics.count_request(route_label_, response.status, std::chrono::duration<double>(Clock::now() - arrived_).count());
  if (!response.reason.empty()) metrics.count_error(response.reason);
  write(std::move(response));
}

void Connection::write(Response response) {
  const http::request<http::string_body>& request = parser_->get();
  // Of these the length is told, and the body isn't sent.
  const bool no_body = request.method() == http::verb::head || response.status == 304;
  keep_alive_ = keep_alive_ && !unread_ && !shared_.draining;
  response_.emplace(static_cast<http::status>(response.status), request.version() == 10 ? 10u : 11u);
  response_->set(http::field::server, "gcvit/" GCVIT_VERSION);
  response_->set(http::field::date, http_date());
  response_->set(http::field::content_type, response.content_type);
  response_->set(http::field::cache_control, "no-store");
  response_->set("X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : response.fields) response_->set(name, value);
  response_->keep_alive(keep_alive_);
  response_->content_length(response.body.size());
  if (!no_body) response_->body() = std::move(response.body);
  serializer_.emplace(*response_);
  stream_.tcp().expires_after(shared_.options.write_timeout);
  const auto written = [self = shared_from_this()](ErrorCode error, std::size_t) { self->on_written(error); };
  if (no_body) {
    http::async_write_header(stream_, *serializer_, written);
  } else {
    http::async_write(stream_, *serializer_, written);
  }
}

void Connection::on_written(ErrorCode error) {
  serializer_.reset();
  response_.reset();
  body_share_.reset();
  if (error) return close();
  if (keep_alive_) return wait_for_request();
  linger();
}

void Connection::linger() {
  buffer_.consume(buffer_.size());
  discarded_ = 0;
  stream_.tcp().expires_after(kLinger);
  stream_.async_finish([self = shared_from_this()] { self->discard(); });
}

void Connection::discard() {
  stream_.tcp().async_read_some(buffer_.prepare(kBufferBytes),
                                [self = shared_from_this()](ErrorCode error, std::size_t bytes) {
                                  self->discarded_ += bytes;
                                  if (error || self->discarded_ > kMostDiscarded) return self->close();
                                  self->discard();
                                });
}

void Connection::close() {
  timer_.cancel();
  stream_.tcp().close();
}

}  // namespace gcvit::serve
