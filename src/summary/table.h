// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "summary/summary_backend.h"

namespace gcvit::summary {

/// "11,995,428".
std::string with_commas(std::int64_t number);

/// The layer table for people: a row a layer with output shape, parameters and multiply-adds of one image; below a level
/// that ends in a downsample, its map before it; then the totals. Ends in a newline.
std::string to_table(const SummaryBackend& summary);

}  // namespace gcvit::summary
