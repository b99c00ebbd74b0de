// SPDX-License-Identifier: Apache-2.0
// JSON value by value, for headers of which no tree shall stand in memory (tensor/json.h is the way for all others).
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace gcvit {

/// What a reader of JSON is told, in the text's order. Only an `Error` may be thrown.
class JsonEvents : public nlohmann::json_sax<nlohmann::json> {
 public:
  /// `place` begins with the file's name; the text begins at byte `offset` of what errors count in.
  JsonEvents(std::string_view area, std::string place, std::size_t offset = 0)
      : area_(area), place_(std::move(place)), offset_(offset) {}

  /// Throws `Error`.
  bool parse_error(std::size_t position, const std::string& token, const nlohmann::json::exception& error) final;
  bool binary(nlohmann::json::binary_t&) override { return false; }  // never in a text

 protected:
  const std::string& place() const { return place_; }
  std::string_view area() const { return area_; }

 private:
  std::string_view area_;
  std::string place_;
  std::size_t offset_;
};

/// Tells `events` what the text holds. Throws `Error` where it isn't JSON in UTF-8 or has a number that no double holds,
/// and what `events` throws. Depth costs no stack.
void read_json_events(std::string_view text, JsonEvents& events);

}  // namespace gcvit
