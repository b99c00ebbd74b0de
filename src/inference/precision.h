// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "gcvit/model.h"
#include "model/gcvit.h"
#include "ops/parameter.h"

namespace gcvit::inference {

/// A parameter's values in the type in which a model of this precision computes with them: i8 or bf16 where they are the weights
/// of a product that takes such, else f32. `kAuto` leaves those that have such a type already as they are.
ops::TypedValues in_precision(Precision precision, const ops::Parameter& parameter, ops::TypedValues values);

/// The same of all parameters of a model that has values.
void set_precision(Precision precision, model::GCViT& model);

/// The narrowest in which the model has weights; never kAuto.
Precision precision_of(const model::GCViT& model);

/// "auto", "f32", "bf16", "int8".
std::string_view name_of(Precision precision);

}  // namespace gcvit::inference
