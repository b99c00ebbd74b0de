// SPDX-License-Identifier: Apache-2.0
// A .npy's first bytes: what its array is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/tensor.h"

namespace gcvit::formats {

struct NpyHeader {
  std::string_view descr;  ///< NumPy's dtype: "<f4"
  bool fortran_order = false;
  Dims dims;
};

/// An array's header, checked against nothing yet, and the bytes behind it.
struct NpyArray {
  NpyHeader header;
  std::span<const std::byte> data;
};

/// Takes a .npy of version 1 to 3 apart; everything views `bytes`. `expected_dtype` stands in the sentence about a structured one. Throws
/// `Error` that names `file`.
NpyArray split_npy(std::span<const std::byte> bytes, const std::string& file, std::string_view expected_dtype);

/// Throws `Error` unless the data have exactly the bytes that the shape needs, `element_size` an element; `dtype` names it to people.
void check_npy_size(const NpyArray& array, std::string_view dtype, std::size_t element_size, const std::string& file);

/// Magic, version 1.0 and the padded header, byte for byte as NumPy 2 writes it for an array in C order. Its length is the same for
/// any number of rows.
std::string npy_header(std::string_view descr, std::span<const std::int64_t> dims);

}  // namespace gcvit::formats
