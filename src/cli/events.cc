// SPDX-License-Identifier: Apache-2.0
#include "cli/events.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <mutex>
#include <string>

#include "cli/output.h"

namespace gcvit::cli {
namespace {

constexpr int kNowhere = -1;
constexpr std::chrono::milliseconds kBetweenEvents{100};

std::mutex mutex;
int destination = kNowhere;

bool wait_until_writable(int descriptor) {
  pollfd wanted{descriptor, POLLOUT, 0};
  return ::poll(&wanted, 1, -1) > 0 || errno == EINTR;
}

bool write_line(int descriptor, std::string_view line) {
  while (!line.empty()) {
    const ssize_t written = ::write(descriptor, line.data(), line.size());
    if (written > 0) {
      line.remove_prefix(static_cast<std::size_t>(written));
    } else if (written == 0 || (errno != EINTR && (errno != EAGAIN || !wait_until_writable(descriptor)))) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool send_events_to(int descriptor) {
  if (descriptor < 0 || fcntl(descriptor, F_GETFD) < 0) return false;
  destination = descriptor;
  return true;
}

void send_event(const nlohmann::ordered_json& event) noexcept {
  try {
    const std::lock_guard lock(mutex);
    if (destination == kNowhere) return;
    if (!write_line(destination, json_text(event))) destination = kNowhere;
  } catch (const std::exception&) {
    return;  // without memory the run itself will say so
  }
}

bool EventPace::due() {
  const Clock::time_point now = Clock::now();
  if (now < next_) return false;
  next_ = now + kBetweenEvents;
  return true;
}

void send_progress(EventPace& pace, std::string_view what, std::int64_t done, std::int64_t total) noexcept {
  if (!pace.due() && done != total) return;
  try {
    send_event({{"event", "progress"}, {"what", what}, {"done", done}, {"total", total}});
  } catch (const std::exception&) {
    return;
  }
}

}  // namespace gcvit::cli
