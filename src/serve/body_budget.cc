// SPDX-License-Identifier: Apache-2.0
#include "serve/body_budget.h"

#include "serve/refusal.h"

namespace gcvit::serve {

void BodyBudget::Share::take(std::size_t bytes) {
  std::size_t before = budget_.taken_;
  do {
    if (bytes > budget_.most_ - before) {
      throw Refusal(503, "memory", "[serve] too many bodies of requests at one time; try again later")
          .with("Retry-After", "1");
    }
  } while (!budget_.taken_.compare_exchange_weak(before, before + bytes));
  taken_ += bytes;
}

}  // namespace gcvit::serve
