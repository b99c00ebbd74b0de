// SPDX-License-Identifier: Apache-2.0
// gcvit forward: runs tensors through a model and writes the output of each level.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "inference/model_state.h"
#include "inference/run_images.h"
#include "inference/session_state.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "base/error.h"
#include "formats/npy.h"

namespace gcvit::cli {
namespace {

/// What is written, in this order.
constexpr const char* kOutputs[] = {"logits", "pooled", "level1", "level2", "level3", "level4"};

struct Options {
  ModelArguments arguments;
  std::string input;
  std::string output;
};

/// The input tensor, [N, H, W, 3], of the model's size.
Tensor read_input(const std::string& file, const model::GCViTConfig& config) {
  const Tensor input = formats::read_npy(file);
  const Dims& dims = input.dims();
  if (dims.size() != 4 || dims[0] < 1 || dims[1] != config.image_height || dims[2] != config.image_width ||
      dims[3] != 3) {
    fail("[npy] {}: expected [N, {}, {}, 3] with N at least 1, found {}", file, config.image_height, config.image_width,
         to_string(dims));
  }
  return input;
}

int run(const Options& options) {
  const std::string file = options.arguments.model_file();
  Session session(options.arguments.open(file), options.arguments.session_options());
  inference::Engine& engine = session.state().engine;
  const Tensor input = read_input(options.input, engine.config());

  engine.check_memory(
      std::min(static_cast<std::size_t>(options.arguments.options.batch), static_cast<std::size_t>(input.dims()[0])),
      static_cast<double>(input.size()));

  // Outputs are larger than inputs: they go to temporaries batch by batch, and from there into the archive.
  std::map<std::string, std::unique_ptr<formats::NpyWriter>, std::less<>> writers;
  for (const char* name : kOutputs) writers[name] = nullptr;
  RunOptions run{.batch = options.arguments.options.batch};
  run.tap = [&](std::string_view name, const ValueShape& shape, std::span<const float> values) {
    const auto writer = writers.find(name);
    if (writer == writers.end()) return;
    if (!writer->second) {
      Dims row{shape.height, shape.width, shape.channels};
      if (!name.starts_with("level") && shape.height * shape.width == 1) row = {shape.channels};
      writer->second = std::make_unique<formats::NpyWriter>(options.output, row);
    }
    writer->second->append(values);
  };
  const auto images = static_cast<std::size_t>(input.dims()[0]);
  const auto classes = static_cast<std::size_t>(session.model().classes());
  std::vector<std::string> broken;
  Progress progress(images);
  session.state().run(input.values(), run, [&](std::size_t first, std::size_t count, std::span<const float> logits) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::string wrong = inference::not_finite(logits.subspan(i * classes, classes));
      if (!wrong.empty()) broken.push_back(fmt::format("[forward] {}: image {}: {}", options.input, first + i, wrong));
      progress.step();
    }
  });
  progress.clear();
  if (broken.size() == images) throw Error(broken.front() + (images > 1 ? "; the others' likewise" : ""));

  std::vector<formats::NamedTensor> outputs;
  for (const char* name : kOutputs) {
    outputs.push_back({name, writers[name]->read_back()});
  }
  formats::write_npz(options.output, outputs);
  for (const std::string& sentence : broken) notice(sentence);
  return broken.empty() ? 0 : 1;
}

}  // namespace

Command add_forward(CLI::App& program) {
  CLI::App* app = program.add_subcommand(
      "forward", "Run tensors through a model and write the logits, the pooled features and each level's feature map");
  const auto options = std::make_shared<Options>();
  options->arguments.add_model(*app);
  app->add_option("input", options->input, "A .npy file: float32 [N,H,W,3], normalised as `gcvit preprocess` writes it")
      ->required()
      ->type_name("INPUT.npy");
  app->add_option(
         "-o,--output", options->output,
         "The .npz file to write: logits [N,classes], pooled [N,F], level1 to level4 [N,H,W,C] (before the downsample)")
      ->required()
      ->type_name("OUT.npz");
  options->arguments.add_image_size(*app);
  options->arguments.add_batch(*app);
  options->arguments.add_dtype(*app);
  options->arguments.add_threads(*app);
  return {app, [options] { return run(*options); }};
}

}  // namespace gcvit::cli
