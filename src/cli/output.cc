// SPDX-License-Identifier: Apache-2.0
#include "cli/output.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <new>
#include <system_error>

#include "summary/table.h"
#include "base/error.h"
#include "base/printable.h"
#include "terminal/tell.h"

namespace gcvit::cli {

namespace {

void write_out(std::string_view text) {
  errno = 0;
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (written) return;
  if (errno == EPIPE) throw ReaderGone();
  fail("[output] standard output: can't be written: {}", std::generic_category().message(errno));
}

}  // namespace

void print(std::string_view text) { write_out(printable_lines(text)); }

void print_json(const Json& json) {
  write_out(printable_json(json.dump(-1, ' ', false, Json::error_handler_t::replace)) + "\n");
}

void notice(std::string_view sentence) noexcept {
  try {
    tell(stderr, fmt::format("gcvit: {}\n", printable(sentence)));
  } catch (const std::bad_alloc&) {
    tell(stderr, "gcvit: [memory] not enough memory\n");
  }
}

std::string with_commas(std::int64_t number) { return summary::with_commas(number); }

std::size_t columns_of(std::string_view text) {
  // Every byte but those that continue a character.
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

Progress::Progress(std::size_t total, Unit unit, std::size_t before)
    : total_(total), unit_(unit), before_(before), done_(before) {
  bar_.start(static_cast<std::int64_t>(total), static_cast<std::int64_t>(before));
}

Progress::Progress(std::FILE* terminal, std::size_t total, Unit unit)
    : bar_(terminal, true), total_(total), unit_(unit), before_(0), done_(0) {
  bar_.start(static_cast<std::int64_t>(total));
}

void Progress::set(std::size_t done) {
  done_ = std::min(done, total_);
  if (done_ < before_) {  // a download that can't be resumed starts over
    before_ = 0;
    bar_.start(static_cast<std::int64_t>(total_));
  }
  if (total_ > 1 && done_ > before_ && bar_.due()) draw();
}

void Progress::draw() {
  const auto done = static_cast<std::int64_t>(done_);
  const auto total = static_cast<std::int64_t>(total_);
  const double rate = static_cast<double>(done_ - before_) / bar_.elapsed();
  if (unit_ == Unit::kImages) {
    bar_.draw(done, total, fmt::format(" - {} - {:.1f} photos/s", bar_.eta(done), rate));
  } else {
    bar_.draw(done, total,
              fmt::format("{:.1f}/{:.1f} MB", 1e-6 * static_cast<double>(done_), 1e-6 * static_cast<double>(total_)),
              fmt::format(" - {} - {:.1f} MB/s", bar_.eta(done), 1e-6 * rate));
  }
}

}  // namespace gcvit::cli
