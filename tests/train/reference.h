// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace gcvit::testing {

/// A file of tests/data/train, which tools/train_reference.py wrote.
inline nlohmann::json read_reference(const std::string& name) {
  std::ifstream file(std::string(GCVIT_TEST_DATA) + "/train/" + name);
  if (!file) throw std::runtime_error("can't read " + name);
  return nlohmann::json::parse(file);
}

inline std::vector<float> floats(const nlohmann::json& values) { return values.get<std::vector<float>>(); }

}  // namespace gcvit::testing
