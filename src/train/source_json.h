// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include "data/source_summary.h"

namespace gcvit::train {

/// What the source of the photos has, as config.json keeps it: its classes and splits with counts, and what is left out.
nlohmann::ordered_json to_json(const data::SourceSummary& found);

}  // namespace gcvit::train
