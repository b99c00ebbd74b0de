// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/containers.h"
#include "fuzz/target.h"
#include "native/parameter_vector.h"
#include "train/checkpoint.h"
#include "weights/convert.h"
#include "weights/load.h"
#include "weights/quantise.h"
#include "formats/npy.h"

namespace gcvit::fuzz {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

std::filesystem::path root;

std::string path_of(const std::string& target, const std::string& name) {
  std::filesystem::create_directories(root / target);
  return (root / target / name).string();
}

void write(const std::string& target, const std::string& name, std::string_view bytes) {
  std::ofstream(path_of(target, name), std::ios::binary) << bytes;
}

/// As small as a model gets, with every kind of module; values that hardly take room in a repository.
weights::LoadedModel tiny_model() {
  weights::LoadedModel loaded;
  model::GCViTConfig& config = loaded.info.config;
  config.dim = 4;
  config.depths = {1, 2, 1, 1};
  config.heads = {1, 2, 4, 8};
  config.windows = {{{1, 1}, {1, 1}, {2, 2}, {1, 1}}};
  config.mlp_ratio = 0.5;
  config.layer_scale = true;
  config.classes = 3;
  config.image_height = config.image_width = 32;
  loaded.info.classes = {"a", "b", "c"};
  loaded.info.preprocess_json = R"({"preset":"timm"})";
  loaded.info.temperature = 1.25;
  loaded.model = std::make_unique<model::GCViT>(config);
  for (ops::Parameter* parameter : loaded.model->parameters()) {
    std::vector<float> values(static_cast<std::size_t>(element_count(parameter->dims)));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = i % 4 == 0 ? 0.5f : 0.0625f;
    parameter->tensor = Tensor::from_values(parameter->dims, values);
    ++parameter->version;
  }
  return loaded;
}

void write_models() {
  const weights::LoadedModel loaded = tiny_model();
  const auto convert = [&](const std::string& target, const std::string& name, weights::Layout layout) {
    (void)weights::convert(loaded, path_of(target, name), {.layout = layout, .dtype = DType::kF16});
  };
  for (const char* target : {"safetensors_fuzz", "classifier_fuzz", "onnx_fuzz"}) {
    convert(target, "canonical.safetensors", weights::Layout::kCanonical);
  }
  weights::LoadedModel quantised = tiny_model();
  weights::quantise(*quantised.model);
  quantised.info.quantisation_json = R"({"scheme":"int8"})";
  for (const char* target : {"safetensors_fuzz", "classifier_fuzz"}) {
    weights::save_model(path_of(target, "int8.safetensors"), *quantised.model, quantised.info, DType::kBF16);
  }
  convert("safetensors_fuzz", "nvlabs.safetensors", weights::Layout::kNvlabs);
  convert("torch_fuzz", "nvlabs.pth", weights::Layout::kNvlabs);

  formats::RawFile raw = formats::read_raw_file(path_of("safetensors_fuzz", "nvlabs.safetensors"));
  for (formats::NamedTensor& entry : raw.tensors) entry.tensor = entry.tensor.to_f32();
  formats::write_npz(path_of("npy_fuzz", "nvlabs.npz"), raw.tensors);
}

void write_checkpoint() {
  const weights::LoadedModel loaded = tiny_model();
  const std::vector<const ops::Parameter*> trained(loaded.model->parameters().begin(),
                                                   loaded.model->parameters().end());
  native::ParameterVector m(trained);
  native::ParameterVector v(trained);
  train::RunState state;
  state.recipe = train::preset("scratch");
  state.weights = "--variant xxtiny";
  state.data = "photos";
  state.step = 17;
  state.epoch = 1;
  state.position = 2;
  state.seen = 2;
  state.rows = {{.epoch = 1,
                 .loss = 0.5,
                 .accuracy = 0.5,
                 .val_loss = 0.25,
                 .val_accuracy = 0.75,
                 .lr = 1e-3,
                 .seconds = 3.25,
                 .images_per_second = 7.5}};
  state.best = train::Best{1, 0.75, 0.25};
  const auto image = [](std::uint64_t place, const std::string& name, std::int32_t label) {
    return train::SplitImage{.sample = place,
                             .name = name,
                             .label = label,
                             .stamp = {.there = true, .size = 100 + place, .time = 1, .sha256 = std::string(64, 'a')}};
  };
  state.train = {image(0, "a/1.png", 0), image(7, "b/2.png", 1)};
  state.train[1].stamp = {};  // gone
  state.validation = {image(3, "c/1.png", 2)};
  state.stamped = true;
  state.skipped = {"a/broken.png"};
  const train::Optimiser::Slot slots[] = {{"m", &m}, {"v", &v}};
  train::write_checkpoint(path_of("checkpoint_fuzz", "state.safetensors"), state, *loaded.model, loaded.info, trained,
                          slots);
}

std::string text(std::string_view characters) {
  return "X" + std::string{static_cast<char>(characters.size()), 0, 0, 0} + std::string(characters);
}

std::string repeat(std::string_view piece, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += piece;
  return all;
}

/// A call that rebuilds a tensor of [4] out of storage "0".
std::string tensor() {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\nFloatStorage\n" + text("0") +
         text("cpu") + "K\x04tQK\0K\x04\x85K\x01\x85\x89)tR"s;
}

void write_pickle(const std::string& name, const std::string& pickle) {
  write("torch_fuzz", name,
        kZip.join({{"archive/data.pkl", pickle},
                   {"archive/byteorder", "little"},
                   {"archive/data/0", std::string(16, '\0')},
                   {"archive/version", "3\n"}}));
}

/// What the reader must do once, however long it is.
void write_pickles() {
  constexpr std::size_t kLength = 64;
  const std::string begin = "\x80\x02}(" + text("a");
  write_pickle("parameter_chain.pth", begin + repeat("ctorch._utils\n_rebuild_parameter\n(", kLength) + tensor() +
                                          repeat("\x89)tR"sv, kLength) + "u.");
  write_pickle("type_chain.pth", begin + "ctorch._tensor\n_rebuild_from_type_v2\n" +
                                     repeat("(ctorch._tensor\n_rebuild_from_type_v2\nctorch\nTensor\n", kLength) +
                                     "(ctorch._utils\n_rebuild_tensor_v2\nctorch\nTensor\n(t}t" +
                                     repeat("}t", kLength) + "Ru.");
  std::string views = "\x80\x02}("s;
  for (std::size_t i = 0; i < kLength; ++i) views += text("layer." + std::to_string(i)) + tensor();
  write_pickle("views.pth", views + "u.");
  write_pickle("tied.pth", "\x80\x02}(" + text("state_dict") + "}(" + text("a") + tensor() + "q\x01" + text("b") +
                               "h\x01u" + text("model") + "}(" + text("c") + "h\x01u" + text("epoch") + "K\x03u.");
  write_pickle("long_name.pth", begin + "c" + std::string(1024, 'm') + "\n" + std::string(1024, 'n') + "\n)Ru.");
}

}  // namespace

void make_corpus(const std::string& folder) {
  root = folder;
  write_models();
  write_checkpoint();
  write_pickles();
}

}  // namespace gcvit::fuzz
