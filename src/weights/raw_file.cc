// SPDX-License-Identifier: Apache-2.0
#include "weights/raw_file.h"

#include <filesystem>
#include <string_view>
#include <system_error>

#include "tensor/error.h"
#include "weights/hdf5_file.h"
#include "weights/in_quotes.h"
#include "weights/mapped_file.h"
#include "weights/npy.h"
#include "weights/safetensors.h"
#include "weights/sharded_safetensors.h"
#include "weights/torch_file.h"
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
      {"\x93NUMPY"sv, "a .npy array"}, {"\x80"sv, "a pickle that torch.save didn't write"},
      {"GGUF"sv, "a GGUF file"},       {"\xff\xd8\xff"sv, "a JPEG image"},
      {"\x89PNG"sv, "a PNG image"},
  };
  for (const Magic& magic : kMagics) {
    if (head.starts_with(magic.bytes)) return magic.description;
  }
  return "something else";
}

/// What a .keras archive holds beside its configuration.
constexpr std::string_view kKerasWeights = "model.weights.h5";

RawFile parse_archive(std::span<const std::byte> bytes, const std::shared_ptr<const void>& owner,
                      const std::string& file) {
  const ZipArchive archive(bytes, file);
  if (is_torch_archive(archive)) return parse_torch_archive(archive, owner, file);
  if (const ZipArchive::Entry* const weights = archive.find(kKerasWeights)) {
    RawFile raw = parse_hdf5(weights->bytes, owner, fmt::format("{}: {}", file, kKerasWeights));
    raw.format = "keras";
    return raw;
  }
  if (is_npz(archive)) return parse_npz(archive, owner, file);
  fail("[weights] {}: expected a ZIP archive as .pth, .keras and .npz files are, found another with {} entries{}", file,
       archive.entries().size(), archive.entries().empty() ? "" : ", as " + in_quotes(archive.entries().front().name));
}

}  // namespace

void check_tensor_count(std::size_t count, const std::string& file) {
  if (count > kMostTensors) fail("[weights] {}: expected at most {} tensors, found more", file, kMostTensors);
}

RawFile read_raw_file(const std::string& path) {
  if (path.ends_with(".json")) return read_sharded_safetensors(path);
  const std::filesystem::path index = std::filesystem::path(path) / kShardIndexName;
  if (std::error_code error; std::filesystem::is_regular_file(index, error)) {
    return read_sharded_safetensors(index.string());
  }
  const std::shared_ptr<const MappedFile> file = MappedFile::open(path, "weights");
  const std::span<const std::byte> bytes = file->bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (is_hdf5(text)) return parse_hdf5(bytes, file, path);
  if (is_zip(text)) return parse_archive(bytes, file, path);
  if (is_torch_stream(text)) return parse_torch_stream(bytes, file, path);
  // A safetensors header starts with { behind its length; a broken one is known by the file's ending.
  const bool safetensors = (text.size() > 8 && text[8] == '{') || path.ends_with(".safetensors");
  if (!safetensors) fail("[weights] {}: expected a weight file, found {}", path, describe(text.substr(0, 16)));
  return parse_safetensors(bytes, file, path);
}

}  // namespace gcvit::weights
