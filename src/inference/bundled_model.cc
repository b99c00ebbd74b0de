// SPDX-License-Identifier: Apache-2.0
#include "inference/bundled_model.h"

#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <vector>

#include "base/error.h"

namespace gcvit::inference {
namespace {

constexpr const char* kFileName = "gcvit_flowers.safetensors";

}  // namespace

std::string bundled_model() {
  namespace fs = std::filesystem;
  std::vector<std::string> places;
  if (const char* folder = std::getenv("GCVIT_MODELS"); folder != nullptr && *folder != '\0') {
    places.push_back((fs::path(folder) / kFileName).string());
  }
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (!error) {
    const fs::path prefix = program.parent_path().parent_path();
    places.push_back((prefix / "share/gcvit/models" / kFileName).string());
    places.push_back((prefix / "models" / kFileName).string());  // in the Python package
  }
  for (const std::string& place : places) {
    if (fs::is_regular_file(place, error)) return place;
  }
  fail("[model] no model was given and the bundled one is not at {}", fmt::join(places, " nor at "));
}

}  // namespace gcvit::inference
