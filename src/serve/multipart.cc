// SPDX-License-Identifier: Apache-2.0
#include "serve/multipart.h"

#include <optional>

#include "serve/fields.h"
#include "serve/refusal.h"

namespace gcvit::serve {
namespace {

constexpr std::size_t kLongestBoundary = 70;  // RFC 2046
constexpr std::size_t kLongestPartHead = 4096;

[[noreturn]] void refuse_form(std::string_view what) { refuse(400, "invalid_form", "form: {}", what); }

/// The head of a part, its lines without the empty one behind them.
Part part_with(std::string_view head) {
  Part part;
  bool named = false;
  while (!head.empty()) {
    const std::size_t end = head.find("\r\n");
    const std::string_view line = head.substr(0, end);
    head = end == std::string_view::npos ? "" : head.substr(end + 2);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) refuse_form("expected a header line with a colon in each part's head");
    if (!equals_ignoring_case(trimmed(line.substr(0, colon)), "Content-Disposition")) continue;
    const std::string_view value = line.substr(colon + 1);
    const std::optional<std::string> name = parameter_of(value, "name");
    if (named || !name || !equals_ignoring_case(value_before_parameters(value), "form-data")) break;
    named = true;
    part.name = *name;
    part.file_name = parameter_of(value, "filename").value_or("");
  }
  if (!named) refuse_form("expected \"Content-Disposition: form-data; name=...\" once in each part");
  return part;
}

}  // namespace

bool is_multipart(std::string_view content_type) {
  return equals_ignoring_case(value_before_parameters(content_type), "multipart/form-data");
}

std::vector<Part> parse_multipart(std::string_view content_type, std::span<const std::byte> body) {
  const std::optional<std::string> boundary = parameter_of(content_type, "boundary");
  if (!boundary || boundary->empty() || boundary->size() > kLongestBoundary) {
    refuse_form(fmt::format("expected a boundary of 1 to {} characters in Content-Type", kLongestBoundary));
  }
  const std::string_view text(reinterpret_cast<const char*>(body.data()), body.size());
  const std::string delimiter = "\r\n--" + *boundary;
  // The first delimiter may stand at the very beginning, without the line break that else belongs to it.
  const bool at_beginning = text.starts_with(std::string_view(delimiter).substr(2));
  std::size_t at = at_beginning ? delimiter.size() - 2 : text.find(delimiter);
  if (at == std::string_view::npos) refuse_form("expected the boundary of Content-Type in the body, found none");
  if (!at_beginning) at += delimiter.size();

  std::vector<Part> parts;
  while (!text.substr(at).starts_with("--")) {
    at = text.find_first_not_of(" \t", at);
    if (at == std::string_view::npos || !text.substr(at).starts_with("\r\n")) {
      refuse_form("expected a line break behind each boundary");
    }
    if (parts.size() == kMostParts) refuse_form(fmt::format("expected at most {} parts, found more", kMostParts));
    const std::size_t head = at + 2;
    const std::size_t head_end = text.find("\r\n\r\n", at);
    const std::size_t end = head_end == std::string_view::npos ? head_end : text.find(delimiter, head_end + 2);
    if (end == std::string_view::npos) refuse_form("it ends before its last boundary");
    if (head_end < head) refuse_form("expected \"Content-Disposition: form-data; name=...\" once in each part");
    if (head_end - head > kLongestPartHead) {
      refuse_form(fmt::format("expected at most {} bytes before a part's content", kLongestPartHead));
    }
    Part part = part_with(text.substr(head, head_end - head));
    const std::size_t content = head_end + 4;
    // A part without content: its empty line is the delimiter's line break.
    if (end > content) part.content = body.subspan(content, end - content);
    parts.push_back(std::move(part));
    at = end + delimiter.size();
  }
  return parts;
}

}  // namespace gcvit::serve
