// SPDX-License-Identifier: Apache-2.0
// What sessions take at their peak, measured. Sanitizers keep shadows of all memory, so their builds leave this file
// out.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "gcvit/session.h"
#include "model/initialise.h"
#include "tests/testing/peak_memory.h"
#include "tests/weights/test_files.h"
#include "weights/load.h"

namespace gcvit {
namespace {

/// A second session costs its maps, not the weights again.
TEST(SessionMemory, AnotherSessionCostsItsMaps) {
  const weights::TemporaryFolder folder;
  const std::string file = folder / "xxtiny.safetensors";
  model::GCViT model(model::variant_config("xxtiny"));
  model::initialise(model, 1);
  weights::ModelInfo info;
  info.config = model.config();
  weights::save_model(file, model, info);
  const Model opened = Model::open(file, {.threads = 1});
  const std::vector<float> image(std::size_t{224} * 224 * 3, 0.5f);
  Session first(opened);
  first.logits(image);
  const std::uint64_t peak = testing::peak_memory_of([&] {
    Session second(opened);
    second.logits(image);
  });
  EXPECT_LE(peak, opened.weight_bytes() * 3 / 4);
  RecordProperty("second", std::to_string(peak));
}

}  // namespace
}  // namespace gcvit
