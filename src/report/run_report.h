// SPDX-License-Identifier: Apache-2.0
// What a run shows of itself to people: all that its report, its curves and TensorBoard's pictures are drawn from.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "evaluate/labelled_logits.h"
#include "image/decode.h"
#include "report/epoch_row.h"

namespace gcvit::report {

/// A validation photo and the model's prediction.
struct Example {
  std::size_t image = 0;  ///< its place among the labelled logits
  std::int32_t label = 0;
  std::int32_t predicted = 0;
  double probability = 0.0;  ///< of `predicted`
  std::string name;          ///< within the data set: "roses/12.jpg"
  image::Image picture;      ///< a square thumbnail; empty when the photo could not be read again

  bool right() const { return label == predicted; }
};

/// The misclassified photos, the most confident mistake first, at most `count`.
std::vector<Example> surest_mistakes(const evaluate::LabelledLogits& images, double temperature, std::size_t count);

/// At most `count` photos from all over the set, in its order.
std::vector<Example> samples_of(const evaluate::LabelledLogits& images, double temperature, std::size_t count);

/// The middle of a picture as a square of `side` pixels.
image::Image thumbnail(const image::Image& picture, std::int32_t side);

/// A line of the report's header, or a command: what it is, and it.
struct Fact {
  std::string name;
  std::string value;
};

struct RunReport {
  std::string title;            ///< "gcvit_xxtiny on flowers"
  std::vector<Fact> facts;      ///< model, data, recipe, time: as the header shows them
  std::vector<EpochRow> rows;
  std::vector<std::string> classes;
  std::optional<double> feature_seconds;  ///< of a linear probe: what its features took before the first epoch
  std::int32_t best_epoch = 0;  ///< whose weights the figures below are of; 0 when there was no validation

  /// The validation photos at the best epoch, before and after the temperature; nothing without validation photos.
  std::optional<evaluate::Metrics> uncalibrated;
  std::optional<evaluate::Metrics> metrics;
  std::optional<double> temperature;  ///< nothing when none was fitted: then both are the same
  std::string why_no_temperature;     ///< "4 photos are too few: it takes 50"
  std::vector<Example> mistakes;
  std::vector<Example> samples;

  std::vector<Fact> commands;  ///< what to type next
};

/// report.html: one page without scripts and without anything from elsewhere, light or dark as the reader's screen is,
/// from a phone's width on.
std::string report_html(const RunReport& report);

/// Write curves.svg, or both curves.svg and report.html, into a run's folder; each appears whole or the older one stays.
/// Throw `Error`.
void write_curves(const std::string& folder, std::span<const EpochRow> rows);
void write_run_report(const std::string& folder, const RunReport& report);

}  // namespace gcvit::report
