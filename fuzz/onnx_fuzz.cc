// SPDX-License-Identifier: Apache-2.0
// Whatever loads as a model can be written as ONNX, or is refused: its graph passes ONNX's checker.
#include <algorithm>
#include <string_view>

#include "fuzz/containers.h"
#include "fuzz/models.h"
#include "fuzz/target.h"
#include "gcvit/error.h"
#include "onnx/onnx_backend.h"
#include "formats/safetensors.h"

namespace gcvit::fuzz {
namespace {

/// More would take a run of seconds, and shows nothing that fewer don't.
constexpr std::int32_t kMostBlocks = 12;

void run(const Input& input, Budget& budget) {
  const weights::LoadedModel loaded = load(formats::parse_safetensors(input.bytes, input.owner, "fuzz"), budget);
  const model::GCViTConfig& config = loaded.info.config;
  if (*std::ranges::max_element(config.depths) > kMostBlocks) return;
  onnx::OnnxBackend backend({.opset = input.bytes.size() % 2 == 0 ? 13 : 17, .largest_file = 256 << 20});
  budget.bytes += std::uint64_t{256} << 20;
  try {
    const auto images = backend.input("images", {config.image_height, config.image_width, 3});
    backend.output("logits", loaded.model->forward(backend, images));
    (void)backend.serialise({.name = "fuzz", .text = "", .metadata = weights::serialise_model_info(loaded.info)});
  } catch (const Error& error) {
    expect(!std::string_view(error.what()).starts_with("[onnx] the graph breaks a rule"), error.what());
    throw;
  }
}

const Registration registration({.name = "onnx_fuzz", .run = run, .mutate = mutate_safetensors});

}  // namespace
}  // namespace gcvit::fuzz
