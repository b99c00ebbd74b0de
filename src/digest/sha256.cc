// SPDX-License-Identifier: Apache-2.0
#include "digest/sha256.h"

#include <openssl/evp.h>

#include <array>
#include <new>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/open_file.h"

namespace gcvit {
namespace {

constexpr std::size_t kBlock = std::size_t{1} << 20;

void check(int result) {
  if (result != 1) fail("[sha256] libcrypto: expected SHA-256, found none in this installation");
}

}  // namespace

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();

  State() {
    if (context == nullptr) throw std::bad_alloc();
    check(EVP_DigestInit_ex(context, EVP_sha256(), nullptr));
  }
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  /// Starts over with the context's digest: fetching it again would take as long as hashing a small image.
  void restart() { check(EVP_DigestInit_ex(context, nullptr, nullptr)); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
  check(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()));
}

std::string Sha256::finish() {
  std::array<unsigned char, 32> digest;
  check(EVP_DigestFinal_ex(state_->context, digest.data(), nullptr));
  state_->restart();
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string sha256_of_file(const std::string& path) {
  const RegularFile file = open_regular_file(path, "file");
  Sha256 hash;
  std::vector<std::byte> block(kBlock);
  std::uint64_t offset = 0;
  while (const std::size_t count = read_at(file, offset, block, "file", path)) {
    hash.update(std::span(block).first(count));
    offset += count;
  }
  return hash.finish();
}

}  // namespace gcvit
