// SPDX-License-Identifier: Apache-2.0
// What the targets share that read weights.
#pragma once

#include <cstdint>
#include <utility>

#include "fuzz/target.h"
#include "weights/load.h"

namespace gcvit::fuzz {

inline std::uint64_t parameters_of(const model::GCViT& model) {
  std::uint64_t count = 0;
  for (const ops::Parameter* parameter : model.parameters()) {
    count += static_cast<std::uint64_t>(element_count(parameter->dims));
  }
  return count;
}

/// Loads a model within what a file's size and the parameters allow.
inline weights::LoadedModel load(formats::RawFile raw, Budget& budget) {
  weights::LoadedModel loaded = weights::load_model(std::move(raw), "fuzz");
  budget.allow_parameters(parameters_of(*loaded.model));
  return loaded;
}

}  // namespace gcvit::fuzz
