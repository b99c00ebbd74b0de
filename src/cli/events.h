// SPDX-License-Identifier: Apache-2.0
// For programs that run this one: events (`--events`), which are JSON objects, one a line.
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

namespace gcvit::cli {

inline constexpr const char* kEventsFlag = "--events";
inline constexpr const char* kEventsText =
    "Before COMMAND: write events to this file descriptor, a JSON object on each line, for programs that run gcvit";
inline constexpr const char* kWithParentFlag = "--with-parent";
inline constexpr const char* kWithParentText =
    "Before COMMAND: stop, as on SIGTERM, when the process that runs gcvit ends";

/// Sends events to this descriptor from now on. Returns false, and sends none, when it isn't open.
bool send_events_to(int descriptor);

/// Writes one line. Nothing happens without `--events`; once a line can't be written whole, as the reader has gone, none is
/// written any more.
void send_event(const nlohmann::ordered_json& event) noexcept;

/// True about ten times a second: keeps events that come with every step from flooding their reader.
class EventPace {
 public:
  bool due();

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point next_{};
};

/// `{"event":"progress"}`: `done` of `total` are done of `what`. Left out when it isn't due, unless it is the last.
void send_progress(EventPace& pace, std::string_view what, std::int64_t done, std::int64_t total) noexcept;

}  // namespace gcvit::cli
