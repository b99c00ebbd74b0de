// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "hub/part_file.h"

namespace gcvit::hub {

/// A file to download, and what is known about it beforehand.
struct Source {
  std::string url{};         ///< https, or http
  std::uint64_t size = 0;    ///< 0 if unknown; then the server must report it
  std::string sha256{};      ///< its first digits, as many as are known
  std::string known_from{};  ///< the source of these, named in the error when they differ
  /// The largest size that a server may report when the size isn't known. A training checkpoint may hold the 201 million parameters
  /// of the largest variant four times, averages and the optimiser's moments included: 3.2 GB.
  std::uint64_t most_bytes = std::uint64_t{8} << 30;
};

/// When to give up and when to try again.
struct RetryPolicy {
  std::chrono::seconds connect{20};
  std::chrono::seconds stall{30};  ///< longest time at less than 100 bytes a second
  int tries = 4;  ///< consecutive tries that bring less than 1 MiB each
  std::chrono::milliseconds first_pause{500};  ///< doubles with each consecutive try
};

/// Callbacks during a download.
struct Listener {
  std::function<void(std::uint64_t done, std::uint64_t total)> bytes = [](std::uint64_t, std::uint64_t) {};
  std::function<void(const std::string& sentence)> notice = [](const std::string&) {};
};

/// Completes the partial file and returns its SHA-256, 64 lowercase digits.
///
/// Resumes an earlier download if the server still has the same version, and retries after failures that may be temporary. Certificates of https are always verified, against SSL_CERT_FILE where that is set; redirects are followed
/// five times and never from https to http. Throws `Error` and keeps the partial file when the download fails (kIo when the server can't be reached or doesn't
/// have the file); throws and
/// removes it when the complete file has another SHA-256.
std::string download(const Source& source, PartFile& part, const RetryPolicy& retry_policy, const Listener& listener);

}  // namespace gcvit::hub
