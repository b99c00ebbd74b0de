// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "weights/model_file.h"

namespace gcvit::inference {

/// A name for every class: the file's; without one ImageNet's when there are 1000; else "class 17".
std::vector<std::string> class_labels(const weights::ModelInfo& info);

/// Every class's WordNet id ("n01440764") when the labels are ImageNet's, in whatever order; else empty.
std::vector<std::string> wordnet_ids(const std::vector<std::string>& labels);

}  // namespace gcvit::inference
