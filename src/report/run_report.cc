// SPDX-License-Identifier: Apache-2.0
#include "report/run_report.h"

#include <chrono>
#include <ctime>

#include "report/curves_svg.h"
#include "base/atomic_file.h"

namespace gcvit::report {
namespace {

void write_file(const std::string& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace

std::string utc_now() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts);
  return text;
}

void write_curves(const std::string& folder, std::span<const EpochRow> rows) {
  write_file(folder + "/curves.svg", curves_svg(rows));
}

void write_run_report(const std::string& folder, const RunReport& report) {
  write_curves(folder, report.rows);
  write_file(folder + "/report.html", report_html(report));
}

}  // namespace gcvit::report
