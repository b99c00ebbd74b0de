// SPDX-License-Identifier: Apache-2.0
#include "formats/npy.h"

#include <system_error>
#include <algorithm>
#include <bit>
#include <charconv>
#include <optional>
#include <string_view>
#include <unordered_set>

#include "base/counted.h"
#include "base/error.h"
#include "base/file_kind.h"
#include "base/write_all.h"
#include "formats/in_quotes.h"
#include "formats/mapped_file.h"
#include "formats/strided_copy.h"
#include "formats/zip_writer.h"

namespace gcvit::formats {
namespace {

static_assert(std::endian::native == std::endian::little, "arrays are viewed as they lie in the file");

using namespace std::string_view_literals;

constexpr std::string_view kMagic = "\x93NUMPY"sv;
constexpr std::string_view kFloat32 = "<f4";
constexpr std::string_view kNpyEnding = ".npy";
constexpr std::size_t kMaximalAxes = 32;
constexpr std::size_t kAlignment = 64;
/// NumPy leaves room in the header for a first axis of so many digits.
constexpr std::size_t kRowDigits = 21;

struct Header {
  std::string_view descr;
  bool fortran_order;
  Dims dims;
};

/// Reads the header's Python literal: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }.
class HeaderReader {
 public:
  HeaderReader(std::string_view text, const std::string& file, std::string_view expected_dtype)
      : text_(text), file_(file), expected_dtype_(expected_dtype) {}

  Header run() {
    std::optional<std::string_view> descr;
    std::optional<bool> fortran_order;
    std::optional<Dims> shape;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted_text();
      expect(':');
      if (key == "descr" && !descr) {
        if (accept('[')) fail("[npy] {}: expected {}, found a structured one", file_, expected_dtype_);
        descr = quoted_text();
      } else if (key == "fortran_order" && !fortran_order) {
        fortran_order = word() == "True";
      } else if (key == "shape" && !shape) {
        shape = tuple();
      } else {
        fail("[npy] {}: header: expected descr, fortran_order and shape once each, found {}", file_, in_quotes(key));
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_spaces();
    if (!text_.empty()) broken("its end");
    if (!descr || !fortran_order || !shape) {
      fail("[npy] {}: header: expected descr, fortran_order and shape, found no {}", file_,
           !descr           ? "descr"
           : !fortran_order ? "fortran_order"
                            : "shape");
    }
    return {*descr, *fortran_order, *std::move(shape)};
  }

 private:
  [[noreturn]] void broken(std::string_view what) const {
    fail("[npy] {}: header: expected {}, found {}", file_, what, text_.empty() ? "its end" : in_quotes(text_));
  }

  void skip_spaces() { text_.remove_prefix(std::min(text_.find_first_not_of(" \n"), text_.size())); }

  bool accept(char letter) {
    skip_spaces();
    if (!text_.starts_with(letter)) return false;
    text_.remove_prefix(1);
    return true;
  }

  void expect(char letter) {
    if (!accept(letter)) broken(fmt::format("'{}'", letter));
  }

  std::string_view take(std::size_t count) {
    const std::string_view taken = text_.substr(0, count);
    text_.remove_prefix(taken.size());
    return taken;
  }

  std::string_view quoted_text() {
    skip_spaces();
    const char quote = text_.empty() ? '\0' : text_.front();
    const std::size_t end = quote == '\'' || quote == '"' ? text_.find(quote, 1) : std::string_view::npos;
    if (end == std::string_view::npos) broken("a text in quotes");
    return take(end + 1).substr(1, end - 1);
  }

  std::string_view word() {
    skip_spaces();
    const std::size_t end = std::min(text_.find_first_of(" ,}"), text_.size());
    if (end != 0 && (text_.starts_with("True") || text_.starts_with("False"))) return take(end);
    broken("True or False");
  }

  Dims tuple() {
    Dims dims;
    expect('(');
    while (!accept(')')) {
      std::int64_t dim = -1;
      skip_spaces();
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), dim);
      if (error != std::errc{} || dim < 0) broken("a length from 0 on");
      if (dims.size() == kMaximalAxes) fail("[npy] {}: header: expected at most {} axes", file_, kMaximalAxes);
      dims.push_back(dim);
      text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return dims;
  }

  std::string_view text_;
  const std::string& file_;
  std::string_view expected_dtype_;
};

/// An array's header, checked against nothing yet, and the bytes behind it.
struct Array {
  Header header;
  std::span<const std::byte> data;
};

Array split(std::span<const std::byte> bytes, const std::string& file, std::string_view expected_dtype) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(kMagic)) fail("[npy] {}: expected a .npy file, found {}", file, found_kind(text));
  const auto byte_at = [&](std::size_t index) {
    if (index >= text.size()) fail("[npy] {}: cut short inside its header, file has {} bytes", file, text.size());
    return static_cast<unsigned char>(text[index]);
  };
  const unsigned major = byte_at(6);
  const unsigned minor = byte_at(7);
  if (major < 1 || major > 3 || minor != 0) {
    fail("[npy] {}: expected version 1.0, 2.0 or 3.0, found {}.{}", file, major, minor);
  }
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  std::size_t header_size = 0;
  for (std::size_t i = length_bytes; i-- > 0;) header_size = header_size << 8 | byte_at(8 + i);
  const std::size_t data_begin = 8 + length_bytes + header_size;
  if (data_begin > text.size()) {
    fail("[npy] {}: the header ends at byte {}, file has {}", file, data_begin, text.size());
  }
  return {HeaderReader(text.substr(8 + length_bytes, header_size), file, expected_dtype).run(),
          bytes.subspan(data_begin)};
}

/// Throws unless the data have exactly the bytes that dtype and shape need.
void check_size(const Array& array, std::string_view dtype, std::size_t element_size, const std::string& file) {
  auto needed = static_cast<std::int64_t>(element_size);
  bool overflow = false;
  for (const std::int64_t dim : array.header.dims) overflow = overflow || __builtin_mul_overflow(needed, dim, &needed);
  if (overflow || static_cast<std::uint64_t>(needed) != array.data.size()) {
    fail("[npy] {}: {} {} needs {}, file has {} behind its header", file, dtype, to_string(array.header.dims),
         overflow ? "more than 2^63 bytes" : counted(static_cast<std::uint64_t>(needed), "byte"), array.data.size());
  }
}

/// Magic, version 1.0 and the padded header, byte for byte as NumPy 2 writes it for a float32 array in C order.
std::string make_header(std::span<const std::int64_t> dims) {
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", kFloat32,
                                 fmt::join(dims, ", "), dims.size() == 1 ? "," : "");
  if (!dims.empty()) text.append(kRowDigits - std::to_string(dims.front()).size(), ' ');
  const std::size_t unpadded = kMagic.size() + 4 + text.size() + 1;
  text.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  text.push_back('\n');
  std::string header(kMagic);
  header += {'\x01', '\x00', static_cast<char>(text.size() & 0xff), static_cast<char>(text.size() >> 8)};
  return header + text;
}

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
  Array array = split(bytes, file, kExpected);
  if (array.header.descr != kFloat32) {
    fail("[npy] {}: expected {}, found {}", file, kExpected, in_quotes(array.header.descr));
  }
  if (array.header.fortran_order) fail("[npy] {}: expected C order, found Fortran order", file);
  check_size(array, "float32", sizeof(float), file);
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
    Array array = split(entry.bytes, place, kExpected);
    const auto* const known =
        std::ranges::find(kDTypes, array.header.descr, &std::pair<std::string_view, DType>::first);
    if (known == std::end(kDTypes)) {
      fail("[npy] {}: expected {}, found {}", place, kExpected, in_quotes(array.header.descr));
    }
    const DType dtype = known->second;
    check_size(array, name_of(dtype), size_of(dtype), place);
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
  file_.write(make_header(with_rows(0, row_dims_)));
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
  file_.write_at(0, bytes_of(make_header(with_rows(rows_, row_dims_))));
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
  file.write(make_header(tensor.dims()));
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
                {bytes_of(make_header(entry.tensor.dims())), std::as_bytes(entry.tensor.values())});
  }
  archive.finish();
}

}  // namespace gcvit::formats
