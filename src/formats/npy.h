// SPDX-License-Identifier: Apache-2.0
// NumPy's .npy (versions 1 to 3) and .npz (a stored ZIP of them). Images and logits are little-endian float32 in C order;
// an .npz of weights may have other dtypes and Fortran order.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/atomic_file.h"
#include "formats/raw_file.h"
#include "formats/zip_archive.h"

namespace gcvit::formats {

/// A .npy file as an f32 tensor that views the mapped file, so that a large one is read page by page as it is used.
/// Throws `Error` naming what was found when the file is no .npy, cut short, too long, of another dtype or byte order,
/// or in Fortran order.
Tensor read_npy(const std::string& path);

/// The same from memory; `file` names it in errors, `owner` keeps `bytes` alive for the tensor.
Tensor parse_npy(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& file);

/// Reads the arrays of an .npz as a weight file: f32, f16, f64, i64, i32, u8 and bool (as u8), little-endian, in C or
/// Fortran order. Arrays in C order view the file. Throws `Error` naming the member as `parse_npy` does, and when a
/// member's CRC is wrong.
RawFile parse_npz(const ZipArchive& archive, const std::shared_ptr<const void>& owner, const std::string& file);

/// True for an archive with arrays in it.
bool is_npz(const ZipArchive& archive);

/// Writes a .npy row by row, in bounded memory: [rows so far] + `row_dims`. Visible only after `finish()`, and gone
/// without it.
class NpyWriter {
 public:
  NpyWriter(const std::string& path, Dims row_dims);
  /// Appends `values`, whole rows.
  void append(std::span<const float> values);
  void finish();
  /// The rows so far, mapped: what is larger than memory can be written here and read again. Lives on without the writer.
  Tensor read_back();

 private:
  void write_header();

  std::string path_;
  Dims row_dims_;
  std::int64_t row_size_;
  std::int64_t rows_ = 0;
  AtomicFile file_;
};

/// Writes one f32 tensor as .npy.
void write_npy(const std::string& path, const Tensor& tensor);

/// Writes f32 tensors as .npz, members "NAME.npy", stored, whole or not at all; the same tensors give the same bytes. Throws `Error`
/// on doubled names and beyond 4 GB.
void write_npz(const std::string& path, std::span<const NamedTensor> tensors);

}  // namespace gcvit::formats
