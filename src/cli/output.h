// SPDX-License-Identifier: Apache-2.0
// What the program prints: results on stdout, all else on stderr.
#pragma once

#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "cli/events.h"
#include "gcvit/error.h"
#include "terminal/progress_bar.h"

namespace gcvit::cli {

/// Keys stay in the order they are set.
using Json = nlohmann::ordered_json;

/// The reader of stdout has closed it: the program ends without an error.
struct ReaderGone {};

/// Writes lines to stdout at once, made printable. Names from files in them must have gone through
/// `printable`, which keeps them on one line. Throws `ReaderGone` when the reader closed stdout, `Error` when writing fails.
void print(std::string_view text);
/// The object on one line; bytes that aren't UTF-8 are replaced. Throws as `print` does.
void print_json(const Json& json);
/// As `print`, but keeps the text's styles (terminal/style.h): everything else in it must have gone through `printable`.
void print_styled(std::string_view text);
/// The fields as a row of CSV. On a terminal they are made printable, elsewhere they stay as they are. Throws as `print` does.
void print_csv_row(std::span<const std::string> fields);
/// Whether what is printed appears on a terminal.
bool prints_to_terminal();

/// What `print_json` writes.
std::string json_text(const Json& json);
/// A line of CSV with RFC 4180's quotes. It ends in LF alone, so that line tools see no carriage return in the last field.
std::string csv_row(std::span<const std::string> fields);

/// "gcvit: sentence" on stderr, made printable, and an event. Nothing happens when it can't be written.
void notice(std::string_view sentence) noexcept;
/// The same for the reason why the command fails.
void notice_failure(ErrorCode code, std::string_view sentence) noexcept;

/// "1,234" for counts, as tables have them.
std::string with_commas(std::int64_t number);
/// Columns that a terminal needs for UTF-8 text.
std::size_t columns_of(std::string_view text);

/// A progress bar on stderr with the counts, the speed and the time left, and events; no bar when stderr isn't a terminal.
class Progress {
 public:
  enum class Unit { kImages, kLayers, kBytes };
  /// `before` of `total` were done earlier and don't count for the speed.
  explicit Progress(std::size_t total, Unit unit = Unit::kImages, std::size_t before = 0);
  /// For tests: on a stream that is treated as a terminal.
  Progress(std::FILE* terminal, std::size_t total, Unit unit);

  /// One more is done.
  void step() { set(done_ + 1); }
  /// `done` of them are done in all.
  void set(std::size_t done);
  /// Erases the bar so that something else can be printed; the next step draws it again.
  void clear() { bar_.clear(); }

 private:
  void draw();

  ProgressBar bar_;
  std::size_t total_;
  Unit unit_;
  std::size_t before_;
  std::size_t done_;
  EventPace pace_;
};

}  // namespace gcvit::cli
