// SPDX-License-Identifier: Apache-2.0
// What a gcvit::Model holds: everything its file says, and its weights as the native backend reads them.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "gcvit/model.h"
#include "model/gcvit.h"
#include "native/packed_parameters.h"
#include "weights/load.h"

namespace gcvit {

/// Constant once opened, but for what `packed` packs for gradients, under its own lock.
struct Model::State {
  ModelOptions options;
  weights::ModelInfo info;
  weights::LoadReport report;
  std::string file;
  std::vector<std::string> labels;  ///< one a class
  std::shared_ptr<ThreadPool> pool;  ///< outlives `packed`, which packs on it
  std::shared_ptr<const model::GCViT> model;
  std::shared_ptr<native::PackedParameters> packed;
  Precision precision = Precision::kF32;  ///< the narrowest that weights are packed in
  std::set<std::int32_t> rounded;  ///< parameters, by id, whose values the file has more exactly

  const model::GCViTConfig& config() const { return model->config(); }

  /// Packs the loaded model's parameters as their values come in from the file.
  void pack(weights::LoadedModel& loaded);

  static Model open(formats::RawFile raw, const ModelOptions& options);
};

}  // namespace gcvit

namespace gcvit::inference {

/// Most images that go through a model together.
inline constexpr int kMaximalBatch = 1024;
inline constexpr int kMaximalDecodeThreads = 1024;

/// The model's shared pool for 0, else a new one of so many threads.
std::shared_ptr<ThreadPool> pool_for(const Model& model, int threads);

/// How the options want a model file to be loaded.
weights::LoadOptions load_options_of(const ModelOptions& options);

}  // namespace gcvit::inference
