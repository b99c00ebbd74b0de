// SPDX-License-Identifier: Apache-2.0
#include "serve/page.h"

#include <algorithm>
#include <span>
#include <string>

#include "serve/page_files.h"

namespace gcvit::serve {
namespace {

constexpr std::string_view kStart = "index.html";

/// The page gets scripts, styles and answers from this server alone, shows pictures that it makes itself, and lies in no frame.
constexpr std::string_view kContentPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "media-src 'self' blob:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// Whether the list of a request's If-None-Match has the tag. It is compared weakly, as a proxy that compresses makes tags weak.
bool has_tag(std::string_view if_none_match, std::string_view etag) {
  return if_none_match == "*" || if_none_match.find(etag) != std::string_view::npos;
}

}  // namespace

Response page_response(std::string_view name, std::string_view if_none_match) {
  const std::string_view wanted = name.empty() ? kStart : name;
  const std::span<const PageFile> files = page_files();
  const auto file = std::ranges::find(files, wanted, &PageFile::name);
  if (file == files.end() || name == kStart) refuse(404, "no_route", "/page/{}: the page has no such file", name);
  return {.status = has_tag(if_none_match, file->etag) ? 304U : 200U,
          .content_type = std::string(file->content_type),
          .fields = {{"ETag", std::string(file->etag)},
                     {"Cache-Control", "no-cache"},
                     {"Content-Security-Policy", std::string(kContentPolicy)},
                     {"Referrer-Policy", "no-referrer"},
                     {"Permissions-Policy", "camera=(self), microphone=(), geolocation=()"},
                     {"Cross-Origin-Opener-Policy", "same-origin"},
                     {"Cross-Origin-Embedder-Policy", "require-corp"},
                     {"Cross-Origin-Resource-Policy", "same-origin"}},
          .body = std::string(file->bytes)};
}

}  // namespace gcvit::serve
