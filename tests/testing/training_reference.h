// SPDX-License-Identifier: Apache-2.0
// The models and numbers of tests/data/training, written by tools/parity/make_gradient_references.py and
// make_training_traces.py, and the images and labels that both sides draw by a formula.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "weights/load.h"

namespace gcvit::testing {

/// Images [first, first + count) of the endless row of them, each of `size` floats: multiples of 1/64 within [-2, 2),
/// element i is the top byte of i's integer hash.
inline std::vector<float> reference_images(std::int64_t first, std::int64_t count, std::int64_t size) {
  std::vector<float> values(static_cast<std::size_t>(count * size));
  auto hash = static_cast<std::uint32_t>(first * size);
  for (float& element : values) {
    std::uint32_t value = ++hash;
    value = (value ^ (value >> 16)) * 0x45D9F3Bu;
    value = (value ^ (value >> 16)) * 0x45D9F3Bu;
    value ^= value >> 16;
    element = (static_cast<float>(value >> 24) - 128.0f) / 64.0f;
  }
  return values;
}

/// The classes of the same images.
inline std::vector<std::int32_t> reference_labels(std::int64_t first, std::int64_t count, std::int32_t classes) {
  std::vector<std::int32_t> labels(static_cast<std::size_t>(count));
  for (std::int32_t& label : labels) label = static_cast<std::int32_t>((3 * first++ + 1) % classes);
  return labels;
}

inline std::string training_file(const std::string& name) { return std::string(GCVIT_TEST_DATA) + "/training/" + name; }

/// A file of references: tensors as f32 by name, and what its metadata says.
struct TrainingReference {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, nlohmann::json> metadata;

  explicit TrainingReference(const std::string& name) {
    const formats::RawFile file = formats::read_raw_file(training_file(name + ".safetensors"));
    for (const formats::NamedTensor& entry : file.tensors) tensors.emplace(entry.name, entry.tensor.to_f32());
    for (const auto& [key, text] : file.metadata) metadata.emplace(key, nlohmann::json::parse(text));
  }
};

}  // namespace gcvit::testing
