// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "gcvit/model.h"

namespace gcvit::explain {

/// The index of the class with this name. Throws `Error` of code kNotFound where there is none, or several.
std::int32_t class_named(const Model& model, std::string_view label);

/// The index of what a person calls a class: its name, else its index. Throws `Error` of code kNotFound where there is no such class.
std::int32_t class_of(const Model& model, std::string_view wanted);

}  // namespace gcvit::explain
