// SPDX-License-Identifier: Apache-2.0
// Connections that ask nothing, or do it very slowly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "sockets.h"

namespace gcvit::bench {

struct HoldOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;
  std::size_t connections = 10'000;
  /// Seconds between two bytes of a head that never ends; 0 sends none. Connections that the server closes are opened again then.
  double drip = 0.0;
};

struct HoldReport {
  std::size_t opened = 0;
  std::size_t closed = 0;  ///< by the server
  std::size_t open = 0;  ///< at the end
};

/// Prints "holding N" once N connections are open, and holds them until the standard input ends.
HoldReport hold(const HoldOptions& options);

}  // namespace gcvit::bench
