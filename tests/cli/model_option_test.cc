// SPDX-License-Identifier: Apache-2.0
// What -m takes beside a model file, and which weights of it are used.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/cli/program.h"
#include "formats/safetensors.h"

namespace gcvit {
namespace {

using formats::NamedTensor;
using nlohmann::json;
using weights::write_text;

class ModelOption : public Cli {
 protected:
  /// NVlabs' tiny model as a module in a training checkpoint, with others beside it.
  void write_checkpoint(const std::string& name, const std::vector<std::string>& prefixes) {
    const std::string source = std::string(GCVIT_TEST_DATA) + "/parity/nvlabs.safetensors";
    std::vector<NamedTensor> tensors;
    float scale = 1.0f;
    for (const std::string& prefix : prefixes) {
      for (const NamedTensor& entry : formats::read_safetensors(source).tensors) {
        Tensor tensor = entry.tensor;
        if (entry.name == "head.bias") {
          tensor = tensor.to_f32();
          Tensor scaled(DType::kF32, tensor.dims());
          for (std::size_t i = 0; i < tensor.values().size(); ++i) {
            scaled.mutable_values()[i] = scale * tensor.values()[i];
          }
          tensor = scaled;
        }
        tensors.push_back({prefix + entry.name, tensor});
      }
      scale += 1.0f;
    }
    tensors.push_back({"criterion.weight", Tensor(DType::kF32, {2})});
    formats::write_safetensors(folder / name, tensors, {});
  }
};

TEST_F(ModelOption, EmaChoosesAndTheDefaultIsSaid) {
  write_checkpoint("both.safetensors", {"model.", "model_ema.module."});
  const std::string left_out =
      "gcvit: both.safetensors: 1 tensor is no part of the model and left out (\"criterion.weight\")\n";
  const Result by_itself = gcvit("convert both.safetensors default.safetensors");
  EXPECT_EQ(by_itself.code, 0);
  EXPECT_TRUE(
      by_itself.err.starts_with("gcvit: both.safetensors: holds raw weights (\"model.\") and averaged ones "
                                "(\"model_ema.module.\"): the raw ones are "
                                "used; --ema takes the averaged ones\n" +
                                left_out))
      << by_itself.err;
  EXPECT_TRUE(gcvit("convert both.safetensors raw.safetensors --no-ema").err.starts_with(left_out));
  EXPECT_EQ(gcvit("convert both.safetensors averaged.safetensors --ema").code, 0);
  EXPECT_EQ(weights::read_text(folder / "default.safetensors"), weights::read_text(folder / "raw.safetensors"));
  EXPECT_NE(weights::read_text(folder / "default.safetensors"), weights::read_text(folder / "averaged.safetensors"));

  write_checkpoint("one.safetensors", {"net."});
  expect_failure("info -m one.safetensors --ema", "expected averaged (EMA) weights, found raw ones alone: \"net.\"");
  EXPECT_EQ(gcvit("info -m one.safetensors --no-ema").code, 0);
  write_checkpoint("two.safetensors", {"student.", "teacher."});
  expect_failure("info -m two.safetensors", "expected one model, found 2 with raw weights: \"student.\", \"teacher.\"");
  expect_usage_error("info -m one.safetensors --ema --no-ema", "excludes");
  // Our own files have one set of weights, and don't say which.
  expect_failure("info -m m.safetensors --ema", "found a model file with one set of them");
  expect_failure("info -m m.safetensors --no-ema", "found a model file with one set of them");
}

TEST_F(ModelOption, ARunsFolderIsItsBestModel) {
  std::filesystem::create_directory(folder / "run");
  std::filesystem::copy_file(model, folder / "run/best.safetensors");
  const Result info = gcvit("info -m run --json");
  EXPECT_EQ(info.code, 0);
  EXPECT_EQ(info.err, "gcvit: run: a run's folder: its best.safetensors is used\n");
  EXPECT_EQ(json::parse(info.out)["source"]["format"], "safetensors");
  const std::string picture = image(1);
  EXPECT_EQ(gcvit("classify -m run " + picture).err, "gcvit: run: a run's folder: its best.safetensors is used\n");
}

TEST_F(ModelOption, OtherFilesAreCalledWhatTheyAre) {
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n";
  for (const char* name : {"lfs.safetensors", "lfs.pth", "lfs.jpg"}) write_text(folder / name, pointer);
  write_text(folder / "page.jpg", "<!DOCTYPE html><html><body>Not found</body></html>\n");
  write_text(folder / "page.h5", "<!DOCTYPE html><html><body>Not found</body></html>\n");
  for (const char* name : {"lfs.safetensors", "lfs.pth"}) {
    expect_failure(std::string("info -m ") + name,
                   "found a Git LFS pointer (fetch the file itself with `git lfs pull`)");
  }
  expect_failure("info -m page.h5", "expected a weight file, found an HTML page");
  expect_failure("classify -m m.safetensors lfs.jpg", "found a Git LFS pointer");
  expect_failure("classify -m m.safetensors page.jpg", "expected JPEG, PNG or WebP, found an HTML page");
  expect_failure("classify -m m.safetensors m.safetensors", "found a safetensors file");
}

}  // namespace
}  // namespace gcvit
