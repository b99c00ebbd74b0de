// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "evaluate/metrics.h"

namespace gcvit::report {

/// A reliability diagram (Guo et al. 2017, figure 1) as one <svg> element of 480 x 300 in the colours of the page's style: for each
/// bin of the best class's probability that has photos, a bar as high as the share of them that were right. On the diagonal the two
/// agree. Each bar has its numbers as a tooltip.
std::string reliability_chart(const evaluate::Metrics& metrics);

}  // namespace gcvit::report
