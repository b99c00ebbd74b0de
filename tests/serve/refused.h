// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "serve/refusal.h"

namespace gcvit::serve {

/// "413 [serve] ...": the status and the sentence with which `run()` refuses a request, or "accepted".
template <typename Run>
std::string refused(Run&& run) {
  try {
    run();
  } catch (const Error& error) {
    const Refusal refusal = refusal_of(error);
    return std::to_string(refusal.status()) + " " + refusal.what();
  }
  return "accepted";
}

}  // namespace gcvit::serve
