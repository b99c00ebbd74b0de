// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace gcvit {

/// SHA-256 (FIPS 180-4) of bytes that come in pieces.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::span<const std::byte> bytes);
  /// 64 lowercase hexadecimal digits of all bytes since the start or the last call, which starts anew.
  std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The same of a file's contents, read in blocks of 1 MiB. Throws `Error` when it can't be read.
std::string sha256_of_file(const std::string& path);

}  // namespace gcvit
