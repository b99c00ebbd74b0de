// SPDX-License-Identifier: Apache-2.0
#include "hub/transfer.h"

#include <curl/curl.h>

#include <algorithm>
#include <system_error>
#include <array>
#include <charconv>
#include <cstdlib>
#include <exception>
#include <new>
#include <string_view>

#include "gcvit/version.h"
#include "base/error.h"

namespace gcvit::hub {
namespace {

constexpr int kMostRedirects = 5;
// Bodies of errors and redirects are read up to this size and discarded.
constexpr std::size_t kMostPageBytes = std::size_t{64} << 10;
constexpr long kLowestSpeed = 100;  // bytes a second

void start_libcurl() {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (started != CURLE_OK) fail("[pull] libcurl: can't be started: {}", curl_easy_strerror(started));
}

bool is_https(std::string_view url) { return url.starts_with("https://"); }

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

/// Reads decimal digits off the front of the text.
std::optional<std::uint64_t> take_number(std::string_view& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// The headers of one response, as far as they matter here.
struct Response {
  long status = 0;
  std::optional<std::uint64_t> length;       // Content-Length
  std::optional<std::uint64_t> range_start;  // Content-Range, of 206
  std::optional<std::uint64_t> range_total;  // Content-Range, of 206 and 416
  std::string etag;
  std::string date;  // Last-Modified

  void read(std::string_view name, std::string_view value) {
    if (equal_ignoring_case(name, "Content-Length")) {
      length = take_number(value);
    } else if (equal_ignoring_case(name, "Content-Range") && take(value, "bytes ")) {
      if (!take(value, "*")) {
        range_start = take_number(value);
        if (!range_start || !take(value, "-") || !take_number(value)) return;
      }
      if (take(value, "/")) range_total = take_number(value);
    } else if (equal_ignoring_case(name, "ETag")) {
      etag = value;
    } else if (equal_ignoring_case(name, "Last-Modified")) {
      date = value;
    }
  }

  /// For If-Range, which doesn't allow weak ETags.
  std::string validator() const { return etag.starts_with('"') ? etag : date; }
};

/// Failures that may be temporary.
bool may_pass(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: return true;
    default: return false;
  }
}

bool may_pass(long status) { return status == 408 || status == 429 || status >= 500; }

bool is_redirect(long status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

}  // namespace

struct Transfer::State {
  const Source& source;
  PartFile& part;
  const Listener& listener;
  CURL* curl = nullptr;
  curl_slist* headers = nullptr;
  std::array<char, CURL_ERROR_SIZE> message{};

  std::string url;  // of the request under way; redirects change it
  Response response;
  bool in_headers = false;     // of a response; trailers are delivered the same way, after its body
  bool taken = false;          // the response's body goes into the part
  std::uint64_t total = 0;     // bytes of the whole file, once a body is taken
  std::size_t page_bytes = 0;  // of a body that isn't taken
  std::exception_ptr thrown;   // in a callback, for after libcurl has returned
  std::optional<std::string> again;  // why the body is refused though another try may help

  State(const Source& source, PartFile& part, const RetryPolicy& retry_policy, const Listener& listener)
      : source(source), part(part), listener(listener) {
    start_libcurl();
    curl = curl_easy_init();
    if (curl == nullptr) throw std::bad_alloc();
    set(CURLOPT_ERRORBUFFER, message.data());
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_USERAGENT, "gcvit/" GCVIT_VERSION);
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 0L);  // `try_once` follows, and looks where to
    set(CURLOPT_SSL_VERIFYPEER, 1L);
    set(CURLOPT_SSL_VERIFYHOST, 2L);
    if (const char* file = std::getenv("SSL_CERT_FILE"); file != nullptr && *file != '\0') set(CURLOPT_CAINFO, file);
    set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    set(CURLOPT_BUFFERSIZE, 128L << 10);
    set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(retry_policy.connect.count()));
    set(CURLOPT_LOW_SPEED_LIMIT, kLowestSpeed);
    set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(retry_policy.stall.count()));
    set(CURLOPT_HEADERFUNCTION, &State::on_header);
    set(CURLOPT_HEADERDATA, this);
    set(CURLOPT_WRITEFUNCTION, &State::on_body);
    set(CURLOPT_WRITEDATA, this);
  }
  ~State() {
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  template <typename Value>
  void set(CURLoption option, Value value) {
    const CURLcode code = curl_easy_setopt(curl, option, value);
    if (code != CURLE_OK) fail("[pull] libcurl: can't be set up: {}", curl_easy_strerror(code));
  }

  void add_header(const std::string& header) {
    curl_slist* const longer = curl_slist_append(headers, header.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    headers = longer;
  }

  /// Requests the missing bytes if the server can confirm that it still has the same version, else everything.
  void ask() {
    curl_slist_free_all(headers);
    headers = nullptr;
    if (part.size() > 0 && part.url() == source.url && !part.validator().empty()) {
      add_header(fmt::format("Range: bytes={}-", part.size()));
      add_header("If-Range: " + part.validator());
    }
    set(CURLOPT_HTTPHEADER, headers);
  }

  CURLcode perform() {
    response = {};
    in_headers = false;
    taken = false;
    page_bytes = 0;
    message[0] = '\0';
    set(CURLOPT_URL, url.c_str());
    const CURLcode code = curl_easy_perform(curl);
    if (thrown) std::rethrow_exception(thrown);
    return code;
  }

  static std::size_t on_header(char* data, std::size_t, std::size_t size, void* self) {
    auto& state = *static_cast<State*>(self);
    return state.guarded(size, [&] { return state.read_header({data, size}); });
  }
  static std::size_t on_body(char* data, std::size_t, std::size_t size, void* self) {
    auto& state = *static_cast<State*>(self);
    return state.guarded(size, [&] { return state.read_body({data, size}); });
  }

  /// What libcurl wants of a callback: `size`, or anything else to end the transfer. C code can't be thrown through.
  template <typename Run>
  std::size_t guarded(std::size_t size, Run run) {
    try {
      if (run()) return size;
    } catch (...) {
      thrown = std::current_exception();
    }
    return size == 0 ? 1 : 0;
  }

  bool read_header(std::string_view line) {
    while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("HTTP/")) {
      response = {};
      in_headers = true;
    } else if (!in_headers) {
      return true;
    } else if (line.empty()) {
      in_headers = false;
      curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &response.status);
      return begin_body();
    } else if (const std::size_t colon = line.find(':'); colon != std::string_view::npos) {
      std::string_view value = line.substr(colon + 1);
      while (value.starts_with(' ') || value.starts_with('\t')) value.remove_prefix(1);
      response.read(line.substr(0, colon), value);
    }
    return true;
  }

  /// Called when all headers have arrived: decides what to do with the body.
  bool begin_body() {
    if (response.status == 206) {
      if (response.range_start != part.size() || !response.range_total) {
        part.start(source.url, "");  // asks for everything the next time
        again = "the server sent another range than it was asked for";
        return false;
      }
      total = *response.range_total;
    } else if (response.status == 200) {
      if (!response.length && source.size == 0) {
        fail("[pull] {}: expected a server that tells the file's size, found none in its answer", url);
      }
      total = response.length.value_or(source.size);
      part.start(source.url, response.validator());
    } else {
      return true;
    }
    if (source.size != 0 && total != source.size) {
      fail("[pull] {}: expected a file of {} bytes, found {}", url, source.size, total);
    }
    if (total > source.most_bytes) {
      fail("[pull] {}: expected a file of at most {} bytes, found {}", url, source.most_bytes, total);
    }
    const std::uint64_t missing = total - std::min(total, part.size());
    if (const std::uint64_t room = part.free_bytes(); room < missing) {
      fail("[pull] {}: expected room for {} more bytes, found {} on the disk", part.path(), missing, room);
    }
    taken = true;
    listener.bytes(part.size(), total);
    return true;
  }

  bool read_body(std::string_view bytes) {
    if (!taken) {
      page_bytes += bytes.size();
      return page_bytes <= kMostPageBytes;
    }
    if (bytes.size() > total - std::min(total, part.size())) {
      fail("[pull] {}: expected a file of {} bytes, found more", url, total);
    }
    part.append(std::as_bytes(std::span(bytes)));
    listener.bytes(part.size(), total);
    return true;
  }

  /// Where a redirect leads. Throws when we don't go there.
  std::string next_url() {
    const char* next = nullptr;
    curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &next);
    if (next == nullptr) fail("[pull] {}: expected a redirect to somewhere, found HTTP {} alone", url, response.status);
    if (is_https(url) && !is_https(next)) fail("[pull] {}: expected a redirect to https, found {}", url, next);
    return next;
  }

  std::optional<std::string> judge(CURLcode code) {
    if (again) return again;
    if (taken && code == CURLE_OK) {
      if (part.size() == total) return std::nullopt;
      return fmt::format("ended after {} of {} bytes", part.size(), total);
    }
    if (taken && may_pass(code)) {
      return fmt::format("ended after {} of {} bytes ({})", part.size(), total, what_libcurl_says(code));
    }
    if (response.status == 416) {
      if (response.range_total == part.size()) return std::nullopt;
      part.start(source.url, "");
      return "the server has no such range";
    }
    if (response.status >= 300) {
      const std::string found = fmt::format("expected the file, found HTTP {}", response.status);
      if (may_pass(response.status)) return found;
      fail(ErrorCode::kIo, "[pull] {}: {}{}", url, found, response.status == 404 ? " (there is no such file)" : "");
    }
    if (code == CURLE_PEER_FAILED_VERIFICATION) {
      fail(ErrorCode::kIo, "[pull] {}: the server's certificate isn't to be trusted: {}", url, what_libcurl_says(code));
    }
    if (code == CURLE_SSL_CACERT_BADFILE) {
      fail(ErrorCode::kIo, "[pull] {}: no certificates to check the server's with (package ca-certificates): {}", url,
           what_libcurl_says(code));
    }
    if (may_pass(code)) return what_libcurl_says(code);
    if (code == CURLE_OK) fail(ErrorCode::kIo, "[pull] {}: expected the file, found HTTP {}", url, response.status);
    fail(ErrorCode::kIo, "[pull] {}: {}", url, what_libcurl_says(code));
  }

  std::string what_libcurl_says(CURLcode code) const {
    return message[0] != '\0' ? message.data() : curl_easy_strerror(code);
  }
};

Transfer::Transfer(const Source& source, PartFile& part, const RetryPolicy& retry_policy, const Listener& listener)
    : state_(std::make_unique<State>(source, part, retry_policy, listener)) {}
Transfer::~Transfer() = default;

std::optional<std::string> Transfer::try_once() {
  State& state = *state_;
  state.url = state.source.url;
  state.again.reset();
  state.ask();
  for (int redirects = 0; redirects <= kMostRedirects; ++redirects) {
    const CURLcode code = state.perform();
    if (code != CURLE_OK || !is_redirect(state.response.status)) return state.judge(code);
    state.url = state.next_url();
  }
  fail("[pull] {}: expected at most {} redirects, found more", state.source.url, kMostRedirects);
}

}  // namespace gcvit::hub
