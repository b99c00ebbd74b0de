// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "model/gcvit.h"

namespace gcvit::model {

/// Random initial values for one parameter, as NVlabs' code starts training: linear layers and bias tables normal with
/// deviation 0.02, convolutions uniform within 1 / sqrt(fan in), biases 0, norms 1 and 0, layer scale 1e-5. The
/// values depend on the seed and the parameter's name alone. The stem's bias, which PyTorch draws at random, is 0.
void initialise(Parameter& parameter, std::uint64_t seed);

/// All parameters of a model.
void initialise(GCViT& model, std::uint64_t seed);

}  // namespace gcvit::model
