// SPDX-License-Identifier: Apache-2.0
// The head of an HTTP request, and what of HTTP's own rules Beast's parser leaves to its user.
#pragma once

#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace gcvit::serve {

struct RequestHead {
  std::string method;
  std::string target;
  std::string host;    ///< whom the client asks, "name:port"; empty where an old client doesn't say
  std::string origin;  ///< of the page that made a browser ask; empty where no page did
  std::string authorization;
  std::string content_type;
  std::string content_encoding;
  std::string if_none_match;
  std::optional<std::uint64_t> content_length;
  std::optional<std::size_t> inference_json_bytes;  ///< Inference-Header-Content-Length
  bool expects_continue = false;
};

/// Throws `Refusal`: 505 for another version than HTTP/1.0 and 1.1; 417 for an expectation that isn't 100-continue; 400 where a field that
/// tells where the request ends, to whom it goes or how it is to be read appears twice or contradicts another one, so that a proxy could
/// understand the request in another way.
RequestHead read_head(const boost::beast::http::request_header<>& header);

}  // namespace gcvit::serve
