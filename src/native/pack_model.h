// SPDX-License-Identifier: Apache-2.0
// All of a model's parameters packed at once, for any number of backends on any number of threads.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "base/tensor.h"
#include "base/thread_pool.h"
#include "native/packed_parameters.h"
#include "ops/executor.h"

namespace gcvit::native {

/// Packs what `forward` uses of `parameters` (ids 0, 1, 2, ...). `values` gives a parameter's values, each once and in
/// the order of use, when its turn has come: so no more than one need be in memory beside the packed ones. Weights of linear layers
/// and strided convolutions are packed in the type in which it gives them, all else as f32. Afterwards
/// parameters that the kernels read as they are (biases, normalisations, layer scales) own their values, and the others
/// have none. What `values` throws comes out. `pool` packs, now and later, and must outlive the result.
std::shared_ptr<PackedParameters> pack_model(const std::function<void(ops::Backend& backend)>& forward,
                                             std::span<ops::Parameter* const> parameters,
                                             const std::function<ops::TypedValues(const ops::Parameter&)>& values,
                                             ThreadPool& pool);

}  // namespace gcvit::native
