// SPDX-License-Identifier: Apache-2.0
#include "weights/npy.h"

#include <zip.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <list>
#include <optional>
#include <string_view>

#include "tensor/error.h"
#include "weights/in_quotes.h"
#include "weights/mapped_file.h"

namespace gcvit::weights {
namespace {

static_assert(std::endian::native == std::endian::little, "arrays are viewed as they lie in the file");

using namespace std::string_view_literals;

constexpr std::string_view kMagic = "\x93NUMPY"sv;
constexpr std::string_view kFloat32 = "<f4";
constexpr std::size_t kMaximalAxes = 32;
constexpr std::size_t kAlignment = 64;
/// NumPy leaves room in the header for a first axis of so many digits.
constexpr std::size_t kRowDigits = 21;

/// Reads the header's Python literal: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }.
class HeaderReader {
 public:
  HeaderReader(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  /// The shape; everything else must be as a plain float32 array has it.
  Dims run() {
    bool has_descr = false;
    bool has_order = false;
    std::optional<Dims> shape;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted_text();
      expect(':');
      if (key == "descr" && !has_descr) {
        has_descr = true;
        if (accept('[')) fail("[npy] {}: expected dtype '<f4' (little-endian float32), found a structured one", file_);
        const std::string_view descr = quoted_text();
        if (descr != kFloat32) {
          fail("[npy] {}: expected dtype '<f4' (little-endian float32), found {}", file_, in_quotes(descr));
        }
      } else if (key == "fortran_order" && !has_order) {
        has_order = true;
        if (word() != "False") fail("[npy] {}: expected C order, found Fortran order", file_);
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
    if (!has_descr || !has_order || !shape) {
      fail("[npy] {}: header: expected descr, fortran_order and shape, found no {}", file_,
           !has_descr   ? "descr"
           : !has_order ? "fortran_order"
                        : "shape");
    }
    return *std::move(shape);
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
};

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
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(kMagic)) fail("[npy] {}: expected a .npy file, found something else", file);
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
  Dims dims = HeaderReader(text.substr(8 + length_bytes, header_size), file).run();

  std::int64_t needed = sizeof(float);
  bool overflow = false;
  for (const std::int64_t dim : dims) overflow = overflow || __builtin_mul_overflow(needed, dim, &needed);
  const std::span<const std::byte> data = bytes.subspan(data_begin);
  if (overflow || static_cast<std::uint64_t>(needed) != data.size()) {
    fail("[npy] {}: float32 {} needs {} bytes, file has {} behind its header", file, to_string(dims),
         overflow ? "more than 2^63" : std::to_string(needed), data.size());
  }
  return Tensor(DType::kF32, std::move(dims), std::move(owner), data).to_f32();
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

void NpyWriter::finish() {
  // As long as the first one: the header's padding leaves room for any number of rows.
  file_.write_at(0, bytes_of(make_header(with_rows(rows_, row_dims_))));
  file_.commit();
}

void write_npy(const std::string& path, const Tensor& tensor) {
  AtomicFile file(path);
  file.write(make_header(tensor.dims()));
  file.write(std::as_bytes(tensor.values()));
  file.commit();
}

void write_npz(const std::string& path, std::span<const NamedTensor> tensors) {
  // 1 January 1980, the first day a ZIP knows: the same tensors give the same bytes.
  constexpr zip_uint16_t kDosTime = 0;
  constexpr zip_uint16_t kDosDate = 1 << 5 | 1;

  AtomicFile file(path);
  zip_error_t error;
  zip_error_init(&error);
  const auto check = [&](bool done) {
    if (!done) fail("[npz] {}: can't be written: {}", path, zip_error_strerror(&error));
  };
  std::list<std::string> headers;  // they must live until the archive is closed
  int code = 0;
  zip_t* const opened = zip_open(file.temporary_path().c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
  if (opened == nullptr) zip_error_init_with_code(&error, code);
  check(opened != nullptr);
  std::unique_ptr<zip_t, decltype(&zip_discard)> archive(opened, &zip_discard);
  for (const NamedTensor& entry : tensors) {
    const std::string& header = headers.emplace_back(make_header(entry.tensor.dims()));
    const std::span<const float> values = entry.tensor.values();
    const zip_buffer_fragment_t fragments[] = {
        {reinterpret_cast<zip_uint8_t*>(const_cast<char*>(header.data())), header.size()},
        {reinterpret_cast<zip_uint8_t*>(const_cast<float*>(values.data())), values.size_bytes()}};
    zip_source_t* const source = zip_source_buffer_fragment_create(fragments, 2, 0, &error);
    check(source != nullptr);
    const zip_int64_t index = zip_file_add(archive.get(), (entry.name + ".npy").c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
      zip_source_free(source);
      fail("[npz] {}: member {} can't be written: {}", path, in_quotes(entry.name), zip_strerror(archive.get()));
    }
    const auto member = static_cast<zip_uint64_t>(index);
    if (zip_set_file_compression(archive.get(), member, ZIP_CM_STORE, 0) != 0 ||
        zip_file_set_dostime(archive.get(), member, kDosTime, kDosDate, 0) != 0) {
      fail("[npz] {}: can't be written: {}", path, zip_strerror(archive.get()));
    }
  }
  if (zip_close(archive.get()) != 0) fail("[npz] {}: can't be written: {}", path, zip_strerror(archive.get()));
  (void)archive.release();  // closed
  file.commit();
}

}  // namespace gcvit::weights
