// SPDX-License-Identifier: Apache-2.0
// Arrays of texts as NumPy stores them, without pickle: dtype "<U", as wide as the longest text.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace gcvit::formats {

/// A .npy of these texts, [count]. Bytes that are no UTF-8 are stored as Python's os.fsdecode reads them, so that every file's name
/// comes back as it is. A null character at a text's end is lost, as NumPy loses it.
std::string npy_of_texts(std::span<const std::string> texts);

/// The texts of such a file, [count], which any program may have written; what `npy_of_texts` stored comes back byte by byte. Throws `Error`
/// that names `file`: not a one-dimensional array of little-endian texts, cut short, or a number that is no character.
std::vector<std::string> parse_npy_texts(std::span<const std::byte> bytes, const std::string& file);

}  // namespace gcvit::formats
