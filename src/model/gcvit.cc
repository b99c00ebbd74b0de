// SPDX-License-Identifier: Apache-2.0
#include "model/gcvit.h"

#include "base/error.h"
#include "model/tensor_table.h"

namespace gcvit::model {
namespace {

GCViTConfig validated(const GCViTConfig& config) {
  validate(config);
  return config;
}

std::vector<Level> make_levels(const GCViTConfig& config) {
  std::vector<Level> levels;
  for (int index = 0; index < kLevels; ++index) levels.emplace_back(config, index);
  return levels;
}

}  // namespace

GCViT::GCViT(const GCViTConfig& config)
    : config_(validated(config)),
      patch_embed_(config.dim, config.squeezed_channels(config.dim)),
      levels_(make_levels(config)),
      norm_(make_layer_norm(config.channels(kLevels - 1))),
      head_(make_linear(config.channels(kLevels - 1), config.classes)) {
  const std::vector<TensorPlace> places = tensors_of(config_);
  const Visitor take = [&](Parameter& parameter) {
    if (table_.size() == places.size() || places[table_.size()].row->role != parameter.role) {
      fail("[model] the tensor table doesn't have the parameters of the modules");
    }
    parameter.name = tensor_name(places[table_.size()]);
    parameter.id = static_cast<std::int32_t>(table_.size());
    table_.push_back(&parameter);
  };
  patch_embed_.visit(take);
  for (Level& level : levels_) level.visit(take);
  model::visit(norm_, take);
  model::visit(head_, take);
  if (table_.size() != places.size()) fail("[model] the tensor table has tensors that no module has");
}

ops::Value GCViT::forward(ops::Backend& backend, const ops::Value& image) const {
  const ops::Shape expected{config_.image_height, config_.image_width, 3};
  if (image.shape() != expected) {
    fail("[model] expected images of {}, found {}", ops::to_string(expected), ops::to_string(image.shape()));
  }
  ops::Value x = patch_embed_.forward(backend, image);
  for (const Level& level : levels_) x = level.forward(backend, x);
  {
    const ops::Scope scope(backend, "norm", "LayerNorm");
    x = backend.layer_norm(x, norm_);
    backend.tap("features", x);
  }
  {
    const ops::Scope scope(backend, "pool", "GlobalAveragePooling");
    x = backend.global_average_pool(x);
    backend.tap("pooled", x);
  }
  const ops::Scope scope(backend, "head", "Linear");
  const ops::Value logits = backend.linear(x, head_, {});
  backend.tap("logits", logits);
  return logits;
}

std::int64_t GCViT::parameter_count() const {
  std::int64_t count = 0;
  for (const Parameter* parameter : table_) count += element_count(parameter->dims);
  return count;
}

}  // namespace gcvit::model
