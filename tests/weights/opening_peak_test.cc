// SPDX-License-Identifier: Apache-2.0
// What opening a model file takes at its peak, measured. Sanitizers keep shadows of all memory, so their builds leave this
// file out.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "tests/testing/peak_memory.h"
#include "tests/weights/test_files.h"
#include "weights/load.h"

namespace gcvit::weights {
namespace {

constexpr std::uint64_t kSlack = std::uint64_t{64} << 20;  // docs/weights.md, What opening costs

/// A file whose metadata give a million classes names of `size` letters.
std::string with_names(std::size_t size) {
  std::string names;
  const std::string name = R"(\")" + std::string(size, 'x') + R"(\",)";
  for (int i = 0; i < 1'000'000; ++i) names += name;
  names.pop_back();
  return safetensors_text(
      R"({"__metadata__":{"gcvit.format":"1","gcvit.config":"{\"dim\":4,\"depths\":[1,1,1,1],\"heads\":[1,1,1,1],)"
      R"(\"windows\":[2,2,4,2],\"mlp_ratio\":1,\"layer_scale\":false,\"classes\":1000000,\"image_size\":64}",)"
      R"("gcvit.classes":"[)" +
          names + R"(]"}})",
      0);
}

TEST(OpeningPeak, AMillionClassNamesTakeWhatTheBudgetAllows) {
  const TemporaryFolder folder;
  // The names are read: what is missing are the tensors.
  write_text(folder / "small.safetensors", with_names(0));
  EXPECT_NE(error_of([&] { load_model(folder / "small.safetensors"); }).find("tensors are missing"), std::string::npos);
  for (const std::size_t size : {0u, 16u, 26u}) {
    const std::string path = folder / "m.safetensors";
    const std::string text = with_names(size);
    write_text(path, text);
    const std::uint64_t peak = testing::peak_memory_of([&] { load_model(path); });
    EXPECT_GT(peak, text.size());
    EXPECT_LE(peak, 2 * text.size() + kSlack) << size;
    RecordProperty("peak_" + std::to_string(size), std::to_string(peak));
  }
}

}  // namespace
}  // namespace gcvit::weights
