// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "report/epoch_row.h"

namespace gcvit::report {

/// Round numbers from `low` to `high` for an axis, 1, 2 or 5 times a power of ten apart, about `count` of them. The first
/// lies at or below `low`, the last at or above `high`. For `whole` ones no step is below 1. `low` < `high`, finite.
std::vector<double> axis_ticks(double low, double high, int count, bool whole = false);

/// What a chart shows over the epochs, of training and of validation.
enum class Curves { kLoss, kAccuracy };

/// A chart as one <svg> element of 480 x 300 that grows with its place, light or dark as the reader's screen is, without
/// scripts. Points that aren't finite are left out.
std::string curve_chart(std::span<const EpochRow> rows, Curves what);

/// curves.svg of a run folder: the charts of loss and accuracy side by side, as a file of its own.
std::string curves_svg(std::span<const EpochRow> rows);

}  // namespace gcvit::report
