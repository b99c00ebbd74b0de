// SPDX-License-Identifier: Apache-2.0
#include "train/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <limits>

#include "native/parameter_vector.h"
#include "tests/native/test_model.h"
#include "tests/weights/test_files.h"
#include "weights/load.h"
#include "formats/safetensors.h"

namespace gcvit::train {
namespace {

using weights::read_text;
using weights::write_text;

/// A run in the middle of its second epoch.
struct Checkpoints : ::testing::Test {
  weights::TemporaryFolder folder;
  std::string file = folder / "state.safetensors";
  model::GCViT model{testing::tiny_config()};
  std::vector<const ops::Parameter*> trained;
  weights::ModelInfo info;
  native::ParameterVector m;
  native::ParameterVector v;
  RunState state;

  Checkpoints() {
    testing::fill_alive(model, 1);
    trained.assign(model.parameters().begin(), model.parameters().end());
    info.config = model.config();
    info.classes = {"a", "b", "c", "d", "e", "f", "g"};
    m = native::ParameterVector(trained);
    v = native::ParameterVector(trained);
    fill(m, 10);
    fill(v, 11);
    state.recipe = preset("scratch");
    state.recipe.seed = 99;
    state.weights = "--variant xxtiny";
    state.data = "some photos";
    state.step = 17;
    state.epoch = 1;
    state.position = 2;
    state.loss_sum = 0.1 + 0.2;
    state.correct = 5;
    state.seen = 24;
    state.seconds = 1.0 / 3.0;
    state.rows = {{.epoch = 1,
                   .loss = 1.0 / 7.0,
                   .accuracy = 0.5,
                   .val_loss = 2.0 / 7.0,
                   .val_accuracy = 0.25,
                   .lr = 1e-3,
                   .seconds = 3.25,
                   .images_per_second = 7.5}};
    state.best = Best{1, 0.25, 2.0 / 7.0};
    const std::string hash(64, 'a');
    state.train = {{0, "a/1.png", 2, {true, 912, 1'700'000'000'123'456'789, hash}},
                   {7, "b/\xc3\xa4 2.png", 6, {}},
                   {12345678901, "b/\xff.png", 0, {true, 0, -5, ""}}};
    state.validation = {};
    state.skipped = {"a/broken.png"};
  }

  void fill(native::ParameterVector& vector, unsigned seed) const {
    for (const ops::Parameter* parameter : trained) {
      const std::vector<float> values = testing::random_values(element_count(parameter->dims), seed++);
      std::ranges::copy(values, vector.of(*parameter).begin());
    }
  }
  std::vector<Optimiser::Slot> slots() { return {{"m", &m}, {"v", &v}}; }
  void write() { write_checkpoint(file, state, model, info, trained, slots()); }
  std::string error() {
    return weights::error_of([&] { (void)read_checkpoint(file); });
  }
};

TEST_F(Checkpoints, EverythingComesBack) {
  write();
  const Checkpoint checkpoint = read_checkpoint(file);
  EXPECT_EQ(checkpoint.state, state);
  EXPECT_EQ(checkpoint.info.classes, info.classes);
  EXPECT_EQ(checkpoint.info.config, info.config);

  model::GCViT other(testing::tiny_config());
  for (ops::Parameter* parameter : other.parameters()) parameter->tensor = Tensor(DType::kF32, parameter->dims);
  native::ParameterVector other_m(trained);
  native::ParameterVector other_v(trained);
  const std::vector<Optimiser::Slot> other_slots = {{"m", &other_m}, {"v", &other_v}};
  restore(checkpoint, other, trained, other_slots);
  for (std::size_t i = 0; i < trained.size(); ++i) {
    EXPECT_TRUE(std::ranges::equal(other.parameters()[i]->tensor.values(), trained[i]->tensor.values()));
    EXPECT_EQ(other.parameters()[i]->version, 1u);
  }
  EXPECT_TRUE(std::ranges::equal(other_m.all(), m.all()));
  EXPECT_TRUE(std::ranges::equal(other_v.all(), v.all()));
}

TEST_F(Checkpoints, PathsOfAnyBytesComeBack) {
  state.data = "photos \xff";
  state.weights = "-m \xe4.safetensors";
  state.recipe.soft_labels = "teacher\xc3";
  state.recipe.val_list = "\xed\xa0\x80";
  state.skipped = {"a/\xfe.png", "b/\xc3\xa4.png"};
  state.validation = {{3, "c/ \xff \x01.png", 1, {}}};
  write();
  EXPECT_EQ(read_checkpoint(file).state, state);
}

TEST_F(Checkpoints, AnOlderFormatIsRead) {
  // `gcvit train photos --variant tiny.json --linear-probe --batch-size 4 --val-split 0.25 --max-steps 1` of the last
  // program that wrote format 1, on 3 classes of 4 photos.
  const Checkpoint checkpoint = read_checkpoint(std::string(GCVIT_TEST_DATA) + "/train/format1.safetensors");
  EXPECT_FALSE(checkpoint.state.stamped);
  EXPECT_EQ(checkpoint.state.step, 1);
  EXPECT_EQ(checkpoint.state.weights, "--variant tiny.json");
  EXPECT_EQ(checkpoint.state.data, "photos");
  ASSERT_EQ(checkpoint.state.train.size(), 9u);
  EXPECT_EQ(checkpoint.state.train[0], (SplitImage{0, "blue/0.png", 0, {}}));
  EXPECT_EQ(checkpoint.state.validation.size(), 3u);
}

TEST_F(Checkpoints, IsAModelFileToo) {
  write();
  const weights::LoadedModel loaded = weights::load_model(file);
  EXPECT_EQ(loaded.info.classes, info.classes);
  EXPECT_TRUE(std::ranges::equal(loaded.model->parameters()[3]->tensor.values(), trained[3]->tensor.values()));
}

TEST_F(Checkpoints, CutOffAnywhereItIsRefused) {
  write();
  const std::string whole = read_text(file);
  for (std::size_t i = 0; i < 40; ++i) {
    write_text(file, whole.substr(0, whole.size() * i / 40));
    EXPECT_NE(error(), "") << i;
  }
  write_text(file, whole + '\0');
  EXPECT_NE(error(), "");
  write_text(file, whole);
  EXPECT_EQ(read_checkpoint(file).state, state);
}

TEST_F(Checkpoints, AChangedByteAnywhereIsRefused) {
  write();
  const std::string whole = read_text(file);
  for (std::size_t i = 0; i < 200; ++i) {
    std::string changed = whole;
    // Most of the file is tensors; the first bytes are the header.
    const std::size_t at = i < 100 ? i * 61 : whole.size() - 1 - (i - 100) * (whole.size() / 101);
    changed[at] = static_cast<char>(changed[at] ^ (1 << (i % 7)));
    write_text(file, changed);
    EXPECT_NE(error(), "") << at;
  }
}

TEST_F(Checkpoints, AnotherFileIsNamed) {
  weights::save_model(file, model, info);
  EXPECT_EQ(error(),
            "[checkpoint] " + file + ": expected the checkpoint of a training run, found another .safetensors");
}

TEST_F(Checkpoints, AConfigOfAnotherModelIsRefusedBeforeThereIsRoomForIt) {
  write();
  formats::RawFile raw = formats::read_safetensors(file);
  model::GCViTConfig config = model.config();
  config.classes = 1'000'000;
  raw.metadata["gcvit.config"] = weights::serialise_config(config);
  raw.metadata.erase("gcvit.classes");
  raw.metadata[kCheckpointSum] = checkpoint_sum(raw.tensors, raw.metadata);
  EXPECT_EQ(weights::error_of([&] { (void)parse_checkpoint(std::move(raw), file); }),
            "[checkpoint] " + file + ": tensor \"head.weight\": expected [1000000, 64], found [7, 64]");
}

TEST_F(Checkpoints, AStateThatNoRunIsInIsRefused) {
  const auto refusal = [&](const char* key, const auto& change) {
    const RunState before = state;
    change();
    write();
    state = before;
    EXPECT_TRUE(error().starts_with("[checkpoint] " + file + ": gcvit.train: " + key + ": expected ")) << error();
  };
  refusal("step", [&] { state.step = -1; });
  refusal("epoch", [&] { state.epoch = -1; });
  refusal("epoch", [&] { state.epoch = 2; });
  refusal("best", [&] { state.best.reset(); });
  refusal("position", [&] { state.position = 4; });
  refusal("position", [&] { state.position = ~std::uint64_t{0}; });
  refusal("correct", [&] { state.correct = -5; });
  refusal("correct", [&] { state.correct = state.seen + 1; });
}

TEST_F(Checkpoints, NothingThatIsNotFiniteIsSaved) {
  write();
  const std::string before = read_text(file);
  v.of(*trained[2])[1] = std::numeric_limits<float>::infinity();
  const std::string sentence = weights::error_of([&] { write(); });
  EXPECT_EQ(sentence, "[checkpoint] " + file + ": optimiser.v:" + trained[2]->name + ": element 1 is inf: not saved");
  EXPECT_EQ(read_text(file), before);
  EXPECT_EQ(folder.files(), 1u);
}

TEST_F(Checkpoints, AFullDiskLeavesTheOldOne) {
  write();
  const std::string before = read_text(file);
  state.step = 18;
  struct rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, SIG_IGN);
  const struct rlimit small{before.size() / 2, old.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const std::string sentence = weights::error_of([&] { write(); });
  setrlimit(RLIMIT_FSIZE, &old);
  EXPECT_NE(sentence.find(file + ": can't be written: File too large"), std::string::npos) << sentence;
  EXPECT_EQ(read_text(file), before);
  EXPECT_EQ(folder.files(), 1u);
  EXPECT_EQ(read_checkpoint(file).state.step, 17);
}

TEST_F(Checkpoints, ATensorOfAnotherShapeIsNamed) {
  write();
  const Checkpoint checkpoint = read_checkpoint(file);
  model::GCViTConfig config = testing::tiny_config();
  config.classes = 3;
  model::GCViT other(config);
  for (ops::Parameter* parameter : other.parameters()) parameter->tensor = Tensor(DType::kF32, parameter->dims);
  EXPECT_EQ(weights::error_of([&] { restore(checkpoint, other, {}, {}); }),
            "[checkpoint] " + file + ": tensor \"head.weight\": expected [3, 64], found [7, 64]");
}

}  // namespace
}  // namespace gcvit::train
