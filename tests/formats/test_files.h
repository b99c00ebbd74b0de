// SPDX-License-Identifier: Apache-2.0
// What the tests of formats/ and weights/ share: files in a folder that goes away, broken files by construction, error sentences.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <iterator>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace gcvit::formats {

inline std::string reference(const std::string& name) { return std::string(GCVIT_TEST_DATA) + "/weights/" + name; }

/// A folder of its own, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "gcvit_weights_XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path_), {}));
  }

 private:
  std::filesystem::path path_;
};

inline std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_text(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

/// A safetensors file with this header and `data_size` zero bytes.
inline std::string safetensors_text(const std::string& header, std::size_t data_size) {
  const std::uint64_t size = header.size();
  std::string text(8, '\0');
  std::memcpy(text.data(), &size, 8);
  return text + header + std::string(data_size, '\0');
}

/// Bytes as parsers take them, in a buffer of exactly their size, so that a read beyond is seen by sanitizers.
struct Bytes {
  std::shared_ptr<std::byte[]> owner;
  std::span<const std::byte> span;

  explicit Bytes(std::string_view text) : owner(new std::byte[text.size()]), span(owner.get(), text.size()) {
    if (!text.empty()) std::memcpy(owner.get(), text.data(), text.size());
  }
};

/// The sentence of the error that `run` ends in; fails the test when there is none.
inline std::string error_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "expected an error";
  return "";
}

}  // namespace gcvit::formats
