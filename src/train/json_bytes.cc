// SPDX-License-Identifier: Apache-2.0
#include "train/json_bytes.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <system_error>

namespace gcvit::train {
namespace {

using nlohmann::json;

constexpr const char* kKey = "bytes";

}  // namespace

bool is_utf8(const std::string& text) {
  try {
    (void)json(text).dump();
    return true;
  } catch (const json::type_error&) {
    return false;
  }
}

json text_to_json(const std::string& text) {
  if (is_utf8(text)) return json(text);
  std::string hex;
  for (const char letter : text) hex += fmt::format("{:02x}", static_cast<unsigned char>(letter));
  json value = json::object();
  value[kKey] = hex;
  return value;
}

std::string text_from_json(const JsonPlace& place) {
  if (!place.value().is_object()) return place.text();
  const JsonPlace bytes = place.key(kKey);
  const std::string hex = bytes.text();
  std::string text;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    unsigned char byte = 0;
    const char* const last = hex.data() + std::min(i + 2, hex.size());
    const auto [end, error] = std::from_chars(hex.data() + i, last, byte, 16);
    if (error != std::errc() || end != hex.data() + i + 2) bytes.expected("pairs of hexadecimal digits");
    text.push_back(static_cast<char>(byte));
  }
  return text;
}

}  // namespace gcvit::train
