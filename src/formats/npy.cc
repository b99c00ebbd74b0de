// SPDX-License-Identifier: Apache-2.0
#include "formats/npy.h"

#include <system_error>
#include <algorithm>
#include <bit>
#include <string_view>
#include <unordered_set>

#include "base/error.h"
#include "base/write_all.h"
#include "formats/in_quotes.h"
#include "formats/mapped_file.h"
#include "formats/npy_header.h"
#include "formats/strided_copy.h"
#include "formats/zip_writer.h"

namespace gcvit::formats {
namespace {

static_assert(std::endian::native == std::endian::little, "arrays are viewed as they lie in the file");

constexpr std::string_view kFloat32 = "<f4";
constexpr std::string_view kNpyEnding = ".npy";

Dims with_rows(std::int64_t rows, const Dims& row_dims) {
  Dims dims = {rows};
  dims.insert(dims.end(), row_dims.begin(), row_dims.end());
  return dims;
}

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

}  // namespace

Tensor read_npy(const std::string& path) {
  const std::shared_ptr<const MappedFile> file = MappedFile::open(path, "npy");
  return parse_npy(file->bytes(), file, path);
}

Tensor parse_npy(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& file) {
  constexpr std::string_view kExpected = "dtype '<f4' (little-endian float32)";
  NpyArray array = split_npy(bytes, file, kExpected);
  if (array.header.descr != kFloat32) {
    fail("[npy] {}: expected {}, found {}", file, kExpected, in_quotes(array.header.descr));
  }
  if (array.header.fortran_order) fail("[npy] {}: expected C order, found Fortran order", file);
  check_npy_size(array, "float32", sizeof(float), file);
  return Tensor(DType::kF32, std::move(array.header.dims), std::move(owner), array.data).to_f32();
}

RawFile parse_npz(const ZipArchive& archive, const std::shared_ptr<const void>& owner, const std::string& file) {
  constexpr std::string_view kExpected = "a little-endian dtype of f4, f2, f8, i8, i4, u1 or b1";
  static constexpr std::pair<std::string_view, DType> kDTypes[] = {
      {"<f4", DType::kF32}, {"<f2", DType::kF16}, {"<f8", DType::kF64}, {"<i8", DType::kI64},
      {"<i4", DType::kI32}, {"|u1", DType::kU8},  {"|b1", DType::kU8}};
  RawFile raw{.format = "npz", .tensors = {}, .metadata = {}};
  check_tensor_count(archive.entries().size(), file);
  for (const ZipArchive::Entry& entry : archive.entries()) {
    const std::string place = fmt::format("{}: {}", file, in_quotes(entry.name));
    if (!entry.name.ends_with(kNpyEnding)) fail("[npz] {}: expected arrays NAME.npy, found another entry", place);
    check_crc(entry, file);
    NpyArray array = split_npy(entry.bytes, place, kExpected);
    const auto* const known =
        std::ranges::find(kDTypes, array.header.descr, &std::pair<std::string_view, DType>::first);
    if (known == std::end(kDTypes)) {
      fail("[npy] {}: expected {}, found {}", place, kExpected, in_quotes(array.header.descr));
    }
    const DType dtype = known->second;
    check_npy_size(array, name_of(dtype), size_of(dtype), place);
    const Dims& dims = array.header.dims;
    std::string name(entry.name.substr(0, entry.name.size() - kNpyEnding.size()));
    if (array.header.fortran_order && dims.size() > 1 && !array.data.empty()) {
      Dims strides(dims.size(), 1);
      for (std::size_t axis = 1; axis < dims.size(); ++axis) strides[axis] = strides[axis - 1] * dims[axis - 1];
      raw.tensors.push_back({std::move(name), copy_strided(dtype, dims, strides, array.data)});
    } else {
      raw.tensors.push_back({std::move(name), Tensor(dtype, dims, owner, array.data)});
    }
  }
  return raw;
}

bool is_npz(const ZipArchive& archive) {
  return std::ranges::any_of(archive.entries(),
                             [](const ZipArchive::Entry& entry) { return entry.name.ends_with(kNpyEnding); });
}

NpyWriter::NpyWriter(const std::string& path, Dims row_dims)
    : path_(path), row_dims_(std::move(row_dims)), row_size_(element_count(row_dims_)), file_(path) {
  file_.write(npy_header(kFloat32, with_rows(0, row_dims_)));
}

void NpyWriter::append(std::span<const float> values) {
  const auto count = static_cast<std::int64_t>(values.size());
  if (row_size_ == 0 || count % row_size_ != 0) {
    fail("[npy] {}: expected whole rows of {}, found {} values", path_, to_string(row_dims_), count);
  }
  rows_ += count / row_size_;
  file_.write(std::as_bytes(values));
}

void NpyWriter::write_header() {
  // As long as the first one: the header's padding leaves room for any number of rows.
  file_.write_at(0, bytes_of(npy_header(kFloat32, with_rows(rows_, row_dims_))));
}

void NpyWriter::finish() {
  write_header();
  file_.commit();
}

Tensor NpyWriter::read_back() {
  write_header();
  sync_file(file_.descriptor(), path_);
  const std::shared_ptr<const MappedFile> file = MappedFile::of(file_.descriptor(), path_, "npy");
  return parse_npy(file->bytes(), file, path_);
}

void write_npy(const std::string& path, const Tensor& tensor) {
  AtomicFile file(path);
  file.write(npy_header(kFloat32, tensor.dims()));
  file.write(std::as_bytes(tensor.values()));
  file.commit();
}

void write_npz(const std::string& path, std::span<const NamedTensor> tensors) {
  std::unordered_set<std::string_view> names;
  ZipWriter archive(path, ZipStyle::kPlain);
  for (const NamedTensor& entry : tensors) {
    if (!names.insert(entry.name).second) {
      fail("[npz] {}: member {} can't be written twice", path, in_quotes(entry.name));
    }
    archive.add(entry.name + std::string(kNpyEnding),
                {bytes_of(npy_header(kFloat32, entry.tensor.dims())), std::as_bytes(entry.tensor.values())});
  }
  archive.finish();
}

}  // namespace gcvit::formats
