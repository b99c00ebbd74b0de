// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>
#include <vector>

namespace gcvit::testing {

/// What is wrong with XML, or HTML written like it: tags that don't close in their order, attributes without quotes, an
/// "&" that begins no entity. Empty when nothing is.
inline std::string complaint_about_markup(std::string_view text) {
  constexpr std::array<std::string_view, 4> kVoid = {"meta", "img", "br", "wbr"};
  std::vector<std::string> open;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '&') {
      const std::size_t end = text.find(';', at);
      if (end == std::string_view::npos || end - at > 7) return "a bare & at " + std::string(text.substr(at, 20));
      continue;
    }
    if (text[at] != '<' || text.substr(at).starts_with("<!doctype html>")) continue;
    const std::string place = " at " + std::string(text.substr(at, 60));
    const bool closing = at + 1 < text.size() && text[at + 1] == '/';
    std::size_t end = at + 1 + closing;
    const std::size_t name_begin = end;
    while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) != 0)) ++end;
    const std::string name(text.substr(name_begin, end - name_begin));
    if (name.empty()) return "a bare <" + place;
    bool self_closing = false;
    while (end < text.size() && text[end] != '>') {
      if (text[end] == '/' && end + 1 < text.size() && text[end + 1] == '>') {
        self_closing = true;
        ++end;
        continue;
      }
      if (text[end] != ' ' && text[end] != '\n') return "expected a space" + place;
      ++end;
      const std::size_t attribute = end;
      while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) != 0 || text[end] == '-')) ++end;
      if (end == attribute || text.substr(end, 2) != "=\"") return "expected an attribute" + place;
      const std::size_t quote = text.find('"', end + 2);
      if (quote == std::string_view::npos) return "no closing quote" + place;
      if (text.substr(end + 2, quote - end - 2).find('<') != std::string_view::npos) return "< in quotes" + place;
      end = quote + 1;
    }
    if (end >= text.size()) return "a tag without end" + place;
    if (closing) {
      if (open.empty() || open.back() != name) return "an unexpected end of " + name + place;
      open.pop_back();
    } else if (!self_closing && std::find(kVoid.begin(), kVoid.end(), name) == kVoid.end()) {
      open.push_back(name);
    }
    at = end;
  }
  return open.empty() ? "" : "no end of " + open.back();
}

}  // namespace gcvit::testing
