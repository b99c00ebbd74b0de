// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zip.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>

#include "base/atomic_file.h"

namespace gcvit::weights {

/// libzip's way to a file that appears whole or not at all: the data of a zip_source_function_create. C code can't be
/// thrown through, so that an error is kept until libzip has returned.
class LibzipTarget {
 public:
  explicit LibzipTarget(AtomicFile& file) : file_(file) { zip_error_init(&error_); }
  ~LibzipTarget() { zip_error_fini(&error_); }
  LibzipTarget(const LibzipTarget&) = delete;
  LibzipTarget& operator=(const LibzipTarget&) = delete;

  /// The zip_source_callback; `self` is the LibzipTarget. Returns -1 for a failure.
  static zip_int64_t call(void* self, void* data, zip_uint64_t size, zip_source_cmd_t command);

  /// Throws what went wrong in `call`, if anything did.
  void rethrow() const;

 private:
  zip_int64_t answer(void* data, zip_uint64_t size, zip_source_cmd_t command);
  zip_int64_t write(std::span<const std::byte> bytes);

  AtomicFile& file_;
  std::uint64_t place_ = 0;
  std::uint64_t end_ = 0;
  zip_error_t error_;
  std::exception_ptr thrown_;
};

}  // namespace gcvit::weights
