// SPDX-License-Identifier: Apache-2.0
#include "formats/torch_writer.h"

#include <bit>
#include <cstdint>
#include <string_view>
#include <unordered_set>

#include "base/error.h"
#include "formats/in_quotes.h"
#include "formats/zip_writer.h"

namespace gcvit::formats {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are written as they lie in memory");

using namespace std::string_view_literals;

std::string_view storage_of(DType dtype) {
  switch (dtype) {
    case DType::kF32: return "FloatStorage";
    case DType::kF16: return "HalfStorage";
    case DType::kBF16: return "BFloat16Storage";
    case DType::kF64: return "DoubleStorage";
    case DType::kI64: return "LongStorage";
    case DType::kI32: return "IntStorage";
    case DType::kU8: return "ByteStorage";
    case DType::kI8: return "CharStorage";
  }
  fail("[torch] unknown dtype {}", static_cast<int>(dtype));
}

/// Assembles the pickle; torch_file.h and pickle.h tell how it is read.
class Pickler {
 public:
  void code(std::string_view code) { text_ += code; }

  void global(std::string_view module, std::string_view name) {
    text_ += 'c';
    text_.append(module).append("\n").append(name).append("\n");
  }

  void text(std::string_view text) {
    text_ += 'X';
    bytes(static_cast<std::uint32_t>(text.size()));
    text_ += text;
  }

  void integer(std::int64_t value) {
    if (value >= INT32_MIN && value <= INT32_MAX) {
      text_ += 'J';
      bytes(static_cast<std::int32_t>(value));
    } else {
      text_ += "\x8a\x08";  // of any length: 8 bytes
      bytes(value);
    }
  }

  void integers(std::span<const std::int64_t> values) {
    text_ += '(';
    for (const std::int64_t value : values) integer(value);
    text_ += 't';
  }

  void ordered_dict() {
    global("collections", "OrderedDict");
    text_ += ")R";
  }

  std::string take() { return std::move(text_); }

 private:
  template <typename Number>
  void bytes(Number number) {
    text_.append(reinterpret_cast<const char*>(&number), sizeof(number));
  }

  std::string text_;
};

/// _rebuild_tensor_v2(storage, 0, size, stride, requires_grad = False, hooks = OrderedDict())
void pickle_tensor(Pickler& pickler, const Tensor& tensor, const std::string& key) {
  Dims strides(tensor.dims().size(), 1);
  for (std::size_t axis = strides.size(); axis-- > 1;) strides[axis - 1] = strides[axis] * tensor.dims()[axis];
  pickler.global("torch._utils", "_rebuild_tensor_v2");
  pickler.code("((");
  pickler.text("storage");
  pickler.global("torch", storage_of(tensor.dtype()));
  pickler.text(key);
  pickler.text("cpu");
  pickler.integer(tensor.size());
  pickler.code("tQ");
  pickler.integer(0);
  pickler.integers(tensor.dims());
  pickler.integers(strides);
  pickler.code("\x89");
  pickler.ordered_dict();
  pickler.code("tR");
}

}  // namespace

void write_torch(const std::string& path, std::span<const NamedTensor> tensors) {
  std::unordered_set<std::string_view> names;
  Pickler pickler;
  pickler.code("\x80\x02");
  pickler.ordered_dict();
  pickler.code("(");
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (!names.insert(tensors[i].name).second) {
      fail("[torch] {}: the name {} can't be written twice", path, in_quotes(tensors[i].name));
    }
    pickler.text(tensors[i].name);
    pickle_tensor(pickler, tensors[i].tensor, std::to_string(i));
  }
  pickler.code("u.");

  ZipWriter archive(path, ZipStyle::kAligned);
  archive.add("archive/data.pkl", std::string_view(pickler.take()));
  archive.add("archive/byteorder", "little"sv);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    archive.add("archive/data/" + std::to_string(i), tensors[i].tensor.bytes());
  }
  archive.add("archive/version", "3\n"sv);
  archive.finish();
}

}  // namespace gcvit::formats
