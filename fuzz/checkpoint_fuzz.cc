// SPDX-License-Identifier: Apache-2.0
// What a resumed run starts from: a checkpoint whose SHA-256 always holds is read, and put into a model and an
// optimiser as `gcvit train --resume` does; its rows make a chart.
#include <memory>
#include <utility>
#include <vector>

#include "fuzz/containers.h"
#include "fuzz/models.h"
#include "fuzz/target.h"
#include "base/thread_pool.h"
#include "train/checkpoint.h"
#include "train/make_executor.h"
#include "report/curves_svg.h"
#include "train/parameter_groups.h"
#include "formats/safetensors.h"

namespace gcvit::fuzz {
namespace {

void run(const Input& input, Budget& budget) {
  formats::RawFile raw = formats::parse_safetensors(input.bytes, input.owner, "fuzz");
  raw.metadata[train::kCheckpointSum] = train::checkpoint_sum(raw.tensors, raw.metadata);
  const train::Checkpoint checkpoint = train::parse_checkpoint(std::move(raw), "fuzz");
  (void)report::curves_svg(checkpoint.state.rows);

  model::GCViT model(checkpoint.info.config);
  budget.allow_parameters(parameters_of(model), 4);  // the optimiser's numbers and the weights' average
  for (ops::Parameter* parameter : model.parameters()) parameter->tensor = Tensor(DType::kF32, parameter->dims);
  const std::vector<const ops::Parameter*> trained(model.parameters().begin(), model.parameters().end());
  ThreadPool pool(1);
  const std::unique_ptr<ops::TrainingExecutor> executor = train::make_executor(pool);
  train::Optimiser optimiser(checkpoint.state.recipe, model.parameters(),
                             train::parameter_groups(trained, model.config(), checkpoint.state.recipe), *executor);
  train::restore(checkpoint, model, trained, optimiser.slots());
}

const Registration registration({.name = "checkpoint_fuzz", .run = run, .mutate = mutate_safetensors});

}  // namespace
}  // namespace gcvit::fuzz
