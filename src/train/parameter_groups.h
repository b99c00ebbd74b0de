// SPDX-License-Identifier: Apache-2.0
// What the optimiser does with each parameter: whether it is trained, decayed, and at which share of the learning rate.
#pragma once

#include <span>
#include <vector>

#include "model/config.h"
#include "ops/parameter.h"
#include "train/recipe.h"

namespace gcvit::train {

struct ParameterGroup {
  bool trainable = true;
  bool decayed = false;  ///< the weights of convolutions and linear layers; no biases, tables, norms, gammas
  double lr_factor = 1.0;
  bool orthogonalised = false;  ///< a matrix that muon updates; the others are adamw's under it
};

/// One by parameter id. With layer decay d and n layers behind a parameter's own its factor is d^n; layers are, as in
/// BEiT and timm: the stem, every block (a level's query generator counts to its first block, its downsample to its
/// last), and the final norm with the head, whose factor is 1.
///
/// Freezing: "stem" the patch embedding; "levels" that and the four levels; "all-but-head" the final norm too. A linear
/// probe's parameters are the head's.
///
/// Muon takes the weights of convolutions and linear layers, but for the first convolution and the head.
std::vector<ParameterGroup> parameter_groups(std::span<const ops::Parameter* const> parameters,
                                             const model::GCViTConfig& config, const Recipe& recipe);

}  // namespace gcvit::train
