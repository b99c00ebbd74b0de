// SPDX-License-Identifier: Apache-2.0
// What opening and sessions take at their peak, measured. Sanitizers keep shadows of all memory, so their builds leave this file
// out.
#include <gtest/gtest.h>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "gcvit/session.h"
#include "inference/memory_need.h"
#include "model/initialise.h"
#include "tests/testing/peak_memory.h"
#include "tests/weights/test_files.h"
#include "weights/load.h"

namespace gcvit {
namespace {

void save_xxtiny(const std::string& file) {
  model::GCViT model(model::variant_config("xxtiny"));
  model::initialise(model, 1);
  weights::ModelInfo info;
  info.config = model.config();
  weights::save_model(file, model, info);
}

constexpr int kThreads = 2;
constexpr const char* kFile = "GCVIT_TEST_MODEL";  ///< of the environment: the file that a fresh process opens

/// The peak of this whole process, which opens a model and runs it on one image.
void open_and_run(const char* file) {
  const Model model = Model::open(file, {.threads = kThreads});
  Session session(model);
  session.logits(std::vector<float>(std::size_t{224} * 224 * 3, 0.5f));
  const std::uint64_t peak = testing::process_status("VmHWM");
  EXPECT_LE(peak, model.weight_bytes() + 40'000'000) << model.weight_bytes();
  const inference::MemoryNeed need(model::GCViT(model::variant_config("xxtiny")));
  EXPECT_LE(static_cast<double>(peak), need.of_run(1, kThreads, false));
  EXPECT_LE(need.of_run(1, kThreads, false), static_cast<double>(peak) + 80e6);
}

/// A fresh process: what this one has let go of must not serve it.
TEST(SessionMemory, OpeningAndARunCostThePackedWeightsAnd40Megabytes) {
  if (const char* const file = std::getenv(kFile)) return open_and_run(file);
  const weights::TemporaryFolder folder;
  const std::string file = folder / "xxtiny.safetensors";
  save_xxtiny(file);
  const std::string filter = "--gtest_filter=SessionMemory.OpeningAndARunCostThePackedWeightsAnd40Megabytes";
  std::array<char*, 3> arguments = {const_cast<char*>("fresh"), const_cast<char*>(filter.c_str()), nullptr};
  ASSERT_EQ(setenv(kFile, file.c_str(), 1), 0);
  pid_t child = 0;
  const int started = posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, arguments.data(), environ);
  unsetenv(kFile);
  ASSERT_EQ(started, 0);
  int state = 0;
  ASSERT_EQ(waitpid(child, &state, 0), child);
  EXPECT_TRUE(WIFEXITED(state) && WEXITSTATUS(state) == 0) << "what it says stands above";
}

/// A second session costs its maps, not the weights again.
TEST(SessionMemory, AnotherSessionCostsItsMaps) {
  const weights::TemporaryFolder folder;
  const std::string file = folder / "xxtiny.safetensors";
  save_xxtiny(file);
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
