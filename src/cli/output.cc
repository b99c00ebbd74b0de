// SPDX-License-Identifier: Apache-2.0
#include "cli/output.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <initializer_list>
#include <new>
#include <system_error>
#include <utility>

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

/// On stderr, and as `event`, which says what the sentence is.
void tell_sentence(std::string_view sentence,
                   std::initializer_list<std::pair<std::string_view, std::string_view>> event) noexcept {
  try {
    const std::string text = printable(sentence);
    tell(stderr, fmt::format("gcvit: {}\n", text));
    Json json = Json::object();
    for (const auto& [key, value] : event) json[std::string(key)] = value;
    json["sentence"] = text;
    send_event(json);
  } catch (const std::bad_alloc&) {
    tell(stderr, "gcvit: [memory] not enough memory\n");
  }
}

std::string_view plural_of(Progress::Unit unit) {
  switch (unit) {
    case Progress::Unit::kImages: return "photos";
    case Progress::Unit::kLayers: return "layers";
    case Progress::Unit::kBytes: return "bytes";
  }
  return "";
}

}  // namespace

void print(std::string_view text) { write_out(printable_lines(text)); }

void print_json(const Json& json) { write_out(json_text(json)); }

void print_styled(std::string_view text) { write_out(text); }

std::string csv_row(std::span<const std::string> fields) {
  std::string row;
  for (const std::string& field : fields) {
    if (&field != fields.data()) row += ',';
    if (field.find_first_of(",\"\r\n") == std::string::npos) {
      row += field;
      continue;
    }
    row += '"';
    for (const char letter : field) row += letter == '"' ? std::string("\"\"") : std::string(1, letter);
    row += '"';
  }
  return row + "\n";
}

void print_csv_row(std::span<const std::string> fields) {
  const std::string row = csv_row(fields);
  write_out(prints_to_terminal() ? printable_lines(row) : row);
}

bool prints_to_terminal() { return isatty(STDOUT_FILENO) == 1; }

std::string json_text(const Json& json) {
  return printable_json(json.dump(-1, ' ', false, Json::error_handler_t::replace)) + "\n";
}

void notice(std::string_view sentence) noexcept { tell_sentence(sentence, {{"event", "notice"}}); }

void notice_failure(ErrorCode code, std::string_view sentence) noexcept {
  tell_sentence(sentence, {{"event", "error"}, {"code", name_of(code)}});
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
  send_progress(pace_, plural_of(unit_), static_cast<std::int64_t>(done_), static_cast<std::int64_t>(total_));
  if (total_ > 1 && done_ > before_ && bar_.due()) draw();
}

void Progress::draw() {
  const auto done = static_cast<std::int64_t>(done_);
  const auto total = static_cast<std::int64_t>(total_);
  const auto now_done = static_cast<double>(done_ - before_);
  if (unit_ != Unit::kBytes) {
    const std::string per_second = fmt::format("{}/s", plural_of(unit_));
    bar_.draw(done, total, fmt::format(" - {}{}", bar_.eta(done), bar_.rate(now_done, per_second)));
  } else {
    bar_.draw(done, total,
              fmt::format("{:.1f}/{:.1f} MB", 1e-6 * static_cast<double>(done_), 1e-6 * static_cast<double>(total_)),
              fmt::format(" - {}{}", bar_.eta(done), bar_.rate(1e-6 * now_done, "MB/s")));
  }
}

}  // namespace gcvit::cli
