// SPDX-License-Identifier: Apache-2.0
// What a run, or an evaluation, shows of itself to people: all that its report, its curves and TensorBoard's pictures are drawn from.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "evaluate/metrics.h"
#include "report/epoch_row.h"
#include "report/examples.h"

namespace gcvit::report {

/// A line of the report's header, or a command: what it is, and it.
struct Fact {
  std::string name;
  std::string value;
};

/// "2026-11-30 11:28 UTC": now, for a fact.
std::string utc_now();

struct RunReport {
  std::string title;  ///< with the run's name: "mine: gcvit_xxtiny on flowers"
  std::vector<Fact> facts;  ///< model, data, recipe, time: as the header shows them
  std::vector<EpochRow> rows;  ///< empty for an evaluation, whose page has no curves
  std::string photos = "validation photos";  ///< what the figures below are of: "photos" for an evaluation
  std::vector<std::string> classes;
  std::optional<double> feature_seconds;  ///< of a linear probe: what its features took before the first epoch
  std::int32_t best_epoch = 0;  ///< whose weights the figures below are of; 0 when there was no validation

  /// Without and with the temperature; nothing without validation photos.
  std::optional<evaluate::Metrics> uncalibrated;
  std::optional<evaluate::Metrics> metrics;
  std::optional<double> temperature;  ///< nothing when there is none: then both are the same
  std::string why_no_temperature;  ///< "4 photos are too few: it takes 50"
  std::vector<Example> mistakes;
  std::vector<Example> samples;
  std::int64_t skipped = 0;  ///< photos that no figure counts

  std::vector<Fact> commands;  ///< what to type next
};

/// A page of its own, such as report.html: without scripts and without anything from elsewhere, light or dark as the reader's screen is,
/// from a phone's width on.
std::string report_html(const RunReport& report);

/// Write curves.svg, or both curves.svg and report.html, into a run's folder; each appears whole or the older one stays.
/// Throw `Error`.
void write_curves(const std::string& folder, std::span<const EpochRow> rows);
void write_run_report(const std::string& folder, const RunReport& report);

}  // namespace gcvit::report
