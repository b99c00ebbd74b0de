// SPDX-License-Identifier: Apache-2.0
// Whatever loads as a model can be written as ONNX, or is refused: its graph passes ONNX's checker. Only `gcvit::Error`
// may come out. Seeds: the model files of tests/data/weights.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

#include "gcvit/error.h"
#include "onnx/onnx_backend.h"
#include "weights/load.h"
#include "weights/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // A copy of exactly this size, aligned as a mapped file is.
  const std::shared_ptr<std::byte[]> owner(new std::byte[size]);
  if (size > 0) std::memcpy(owner.get(), data, size);
  try {
    gcvit::weights::RawFile raw =
        gcvit::weights::parse_safetensors({static_cast<const std::byte*>(owner.get()), size}, owner, "fuzz");
    const gcvit::weights::LoadedModel loaded = gcvit::weights::load_model(std::move(raw), "fuzz");
    const gcvit::model::GCViTConfig& config = loaded.info.config;
    gcvit::onnx::OnnxBackend backend({.opset = size % 2 == 0 ? 13 : 17, .largest_file = 256 << 20});
    const auto images = backend.input("images", {config.image_height, config.image_width, 3});
    backend.output("logits", loaded.model->forward(backend, images));
    (void)backend.serialise(
        {.name = "fuzz", .text = "", .metadata = gcvit::weights::serialise_model_info(loaded.info)});
  } catch (const gcvit::Error& error) {
    if (std::string_view(error.what()).starts_with("[onnx] the graph breaks a rule")) std::abort();
  }
  return 0;
}
