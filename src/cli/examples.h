// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "cli/description.h"

namespace gcvit::cli {

/// The examples that help and man page of a command show; of the whole program for "".
std::vector<Example> examples_of(std::string_view command);

}  // namespace gcvit::cli
