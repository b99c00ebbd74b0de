// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace gcvit::inference {

/// The path of the model that comes with the program, which tells five kinds of flowers apart: in the folder that
/// GCVIT_MODELS names, else in ../share/gcvit/models from the program's own folder. Throws `Error` with the places
/// looked at when it is in none.
std::string bundled_model();

}  // namespace gcvit::inference
