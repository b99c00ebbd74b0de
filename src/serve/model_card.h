// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "gcvit/session.h"

namespace gcvit::serve {

/// What a client may want to know of a model: its size, its classes, its preprocessing, and its levels, of which explanations are asked.
nlohmann::ordered_json model_card(std::string_view name, const Session& session);

/// {"models":[...],"explain":true}
std::string models_json(nlohmann::ordered_json cards, bool explains);

}  // namespace gcvit::serve
