// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include "data/found.h"

namespace gcvit::train {

/// What the source of the photos has, as config.json keeps it: its classes and sides with counts, and what is left out.
nlohmann::ordered_json to_json(const data::Found& found);

}  // namespace gcvit::train
