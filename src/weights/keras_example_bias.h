// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/tensor.h"

namespace gcvit::weights {

/// The relative position bias table, [rows, heads] f32, that makes a correct gather compute what the Keras example's
/// `ops.take(table, index)` does: without an axis it takes from the flattened table, so that all heads share one bias,
/// row i's being element i of it. Throws `Error` for another shape.
Tensor keras_example_bias_table(const Tensor& table);

}  // namespace gcvit::weights
