// SPDX-License-Identifier: Apache-2.0
#include "weights/raw_file.h"

#include <string_view>

#include "tensor/error.h"
#include "weights/hdf5_file.h"
#include "weights/mapped_file.h"
#include "weights/safetensors.h"
#include "weights/zip_archive.h"

namespace gcvit::weights {
namespace {

/// What a file that can't be read looks like, by its first bytes.
std::string_view describe(std::string_view head) {
  using namespace std::string_view_literals;
  struct Magic {
    std::string_view bytes;
    std::string_view description;
  };
  static constexpr Magic kMagics[] = {
      {"PK\x03\x04"sv, "a ZIP archive (as .pth, .keras and .npz are)"},
      {"\x93NUMPY"sv, "a .npy array"},
      {"\x80\x02"sv, "a pickle (as old .pth files are)"},
      {"GGUF"sv, "a GGUF file"},
      {"\xff\xd8\xff"sv, "a JPEG image"},
      {"\x89PNG"sv, "a PNG image"},
  };
  for (const Magic& magic : kMagics) {
    if (head.starts_with(magic.bytes)) return magic.description;
  }
  return "something else";
}

/// What a .keras archive holds beside its configuration.
constexpr std::string_view kKerasWeights = "model.weights.h5";

}  // namespace

RawFile read_raw_file(const std::string& path) {
  const std::shared_ptr<const MappedFile> file = MappedFile::open(path, "weights");
  const std::span<const std::byte> bytes = file->bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (is_hdf5(text)) return parse_hdf5(bytes, file, path);
  if (is_zip(text)) {
    const ZipArchive archive(bytes, path);
    if (const ZipArchive::Entry* const weights = archive.find(kKerasWeights)) {
      RawFile raw = parse_hdf5(weights->bytes, file, fmt::format("{}: {}", path, kKerasWeights));
      raw.format = "keras";
      return raw;
    }
  }
  // A safetensors header starts with { behind its length; a broken one is known by the file's ending.
  const bool safetensors = (text.size() > 8 && text[8] == '{') || path.ends_with(".safetensors");
  if (!safetensors) fail("[weights] {}: expected a .safetensors file, found {}", path, describe(text.substr(0, 16)));
  return parse_safetensors(bytes, file, path);
}

}  // namespace gcvit::weights
