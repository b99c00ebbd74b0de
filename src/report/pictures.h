// SPDX-License-Identifier: Apache-2.0
// Pictures for TensorBoard, and for the report if a table would be too large.
#pragma once

#include <span>
#include <string>

#include "evaluate/metrics.h"
#include "report/run_report.h"

namespace gcvit::report {

/// The confusion matrix, rows true, columns predicted: the darker a cell, the larger its share of the row. Up to 20
/// classes it has names and counts; many classes make small cells, down to a pixel each.
image::Image confusion_picture(const evaluate::Metrics& metrics, std::span<const std::string> classes);

/// Photos in a grid with the predicted class and its probability below each, green if it is right; else also the true class.
/// At least one example.
image::Image example_grid(std::span<const Example> examples, std::span<const std::string> classes);

}  // namespace gcvit::report
