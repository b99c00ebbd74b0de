// SPDX-License-Identifier: Apache-2.0
// A config.json as timm and Hugging Face's libraries write it beside a model.
#include <optional>

#include "inference/preprocessing.h"
#include "fuzz/target.h"
#include "weights/timm_config.h"

namespace gcvit::fuzz {
namespace {

void run(const Input& input, Budget&) {
  const std::optional<weights::TimmConfig> config = weights::parse_timm_config(input.text(), "fuzz");
  if (!config) return;
  expect(config->architecture.starts_with("gcvit"), "a GCViT");
  weights::ModelInfo info;
  info.config = model::variant_config("xxtiny");
  (void)weights::fits(*config, info.config);
  info.preprocess_json = config->preprocess_json;
  // What was read can be followed, or is refused.
  image::check(inference::preprocessing_of(info, "auto", "fuzz"));
}

const Registration registration({.name = "timm_config_fuzz", .run = run, .mutate = mutate_json});

}  // namespace
}  // namespace gcvit::fuzz
