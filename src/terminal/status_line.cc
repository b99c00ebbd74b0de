// SPDX-License-Identifier: Apache-2.0
#include "terminal/status_line.h"

#include <sys/ioctl.h>

#include "base/printable.h"
#include "terminal/style.h"
#include "terminal/tell.h"

namespace gcvit {
namespace {

constexpr auto kRedraw = std::chrono::milliseconds(100);
constexpr const char* kClear = "\r\033[K";

}  // namespace

StatusLine::StatusLine(std::FILE* stream) : StatusLine(stream, is_capable_terminal(stream)) {}

std::size_t StatusLine::columns() const {
  winsize size{};
  return ioctl(fileno(stream_), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void StatusLine::draw(std::string_view text) {
  if (!terminal_) return;
  // A full line would move the cursor to the next one, from which a carriage return doesn't lead back.
  tell(stream_, kClear + printable(text).substr(0, columns() - 1));
  drawn_ = true;
  next_ = Clock::now() + kRedraw;
}

void StatusLine::clear() {
  if (!drawn_) return;
  tell(stream_, kClear);
  drawn_ = false;
  next_ = {};
}

}  // namespace gcvit
