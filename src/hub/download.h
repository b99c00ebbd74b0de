// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "hub/part_file.h"

namespace gcvit::hub {

/// What is to be downloaded, and what is known about it before.
struct Source {
  std::string url{};         ///< https, or http
  std::uint64_t size = 0;    ///< 0: not known, then the server must tell it
  std::string sha256{};      ///< its first digits as far as they are known
  std::string known_from{};  ///< who says so, for the sentence when they are others
  /// What a server may announce where the size isn't known. A training checkpoint may hold the 201 million parameters
  /// of the largest variant four times, averages and the optimiser's moments included: 3.2 GB.
  std::uint64_t most_bytes = std::uint64_t{8} << 30;
};

/// How long to wait and how often to try.
struct RetryPolicy {
  std::chrono::seconds connect{20};
  std::chrono::seconds stall{30};  ///< how long less than 100 bytes a second may come
  int tries = 4;  ///< in a row that bring less than 1 MiB
  std::chrono::milliseconds first_pause{500};  ///< doubles with each try in a row
};

/// What a caller may want to hear of while it waits.
struct Listener {
  std::function<void(std::uint64_t done, std::uint64_t total)> bytes = [](std::uint64_t, std::uint64_t) {};
  std::function<void(const std::string& sentence)> notice = [](const std::string&) {};
};

/// Brings the part to the whole file and returns its SHA-256, 64 lowercase digits.
///
/// Goes on with what has come before when the server has the same version still, and tries again after failures that
/// may pass. Certificates of https are always verified, against SSL_CERT_FILE where that is set; redirects are followed
/// five times and never from https to http. Throws `Error` and keeps the part when the file can't be had; when it came
/// but has another SHA-256, throws and removes the part.
std::string download(const Source& source, PartFile& part, const RetryPolicy& retry_policy, const Listener& listener);

}  // namespace gcvit::hub
