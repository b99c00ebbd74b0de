// SPDX-License-Identifier: Apache-2.0
#include "formats/raw_file.h"

#include <string_view>

#include "base/counted.h"
#include "base/error.h"
#include "base/file_kind.h"
#include "formats/hdf5_file.h"
#include "formats/in_quotes.h"
#include "formats/mapped_file.h"
#include "formats/model_folder.h"
#include "formats/npy.h"
#include "formats/safetensors.h"
#include "formats/sharded_safetensors.h"
#include "formats/torch_file.h"
#include "formats/zip_archive.h"

namespace gcvit::formats {
namespace {

/// What a file that can't be read looks like, by its first bytes.
std::string describe(std::string_view bytes) {
  if (bytes.starts_with('\x80')) return "a pickle that torch.save didn't write";
  return found_kind(bytes);
}

/// The name of a model in an archive of other things, which would have to be unpacked.
std::string_view packed_model(const ZipArchive& archive) {
  for (const ZipArchive::Entry& entry : archive.entries()) {
    for (const std::string_view ending :
         {".safetensors", ".pth", ".pt", ".pth.tar", ".bin", ".h5", ".keras", ".npz", ".ckpt"}) {
      if (entry.name.ends_with(ending)) return entry.name;
    }
  }
  return {};
}

/// What a .keras archive holds beside its configuration.
constexpr std::string_view kKerasWeights = "model.weights.h5";

/// TorchScript compresses its code, which stands beside the tensors.
ZipArchive open_archive(std::span<const std::byte> bytes, const std::string& file) {
  try {
    return {bytes, file};
  } catch (const Error&) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (text.find("/code/__torch__") != text.npos) fail_torch_script(file);
    throw;
  }
}

RawFile parse_archive(std::span<const std::byte> bytes, const std::shared_ptr<const void>& owner,
                      const std::string& file, const ReadOptions& options) {
  const ZipArchive archive = open_archive(bytes, file);
  if (is_torch_archive(archive)) return parse_torch_archive(archive, owner, file, options);
  if (const ZipArchive::Entry* const weights = archive.find(kKerasWeights)) {
    RawFile raw = parse_hdf5(weights->bytes, owner, fmt::format("{}: {}", file, kKerasWeights));
    raw.format = "keras";
    const ZipArchive::Entry* const config = archive.find("config.json");
    if (config != nullptr && config->bytes.size() <= kMaximalKerasConfig) {
      raw.keras_config.assign(reinterpret_cast<const char*>(config->bytes.data()), config->bytes.size());
    }
    return raw;
  }
  if (is_npz(archive)) return parse_npz(archive, owner, file);
  if (const std::string_view name = packed_model(archive); !name.empty()) {
    fail("[weights] {}: expected a weight file, found a ZIP archive that holds {}: unpack it", file, in_quotes(name));
  }
  fail("[weights] {}: expected a ZIP archive as .pth, .keras and .npz files are, found another with {}{}", file,
       counted(archive.entries().size(), "entry", "entries"),
       archive.entries().empty() ? "" : ", as " + in_quotes(archive.entries().front().name));
}

RawFile parse_file(std::span<const std::byte> bytes, const std::shared_ptr<const void>& file, const std::string& path,
                   const ReadOptions& options) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (is_hdf5(text)) return parse_hdf5(bytes, file, path);
  if (is_zip(text)) return parse_archive(bytes, file, path, options);
  if (is_torch_stream(text)) return parse_torch_stream(bytes, file, path, options);
  // A safetensors header starts with { behind its length; a broken one is known by the file's ending.
  const bool safetensors =
      (text.size() > 8 && text[8] == '{') || (path.ends_with(".safetensors") && file_kind(text).empty());
  if (!safetensors) fail("[weights] {}: expected a weight file, found {}", path, describe(text));
  return parse_safetensors(bytes, file, path);
}

RawFile read_file(const std::string& path, const ReadOptions& options) {
  if (path.ends_with(kKerasShardIndex)) return read_sharded_keras(path);
  if (path.ends_with(".json")) return read_sharded_safetensors(path);
  const std::shared_ptr<const MappedFile> file = MappedFile::open(path, "weights");
  RawFile raw = parse_file(file->bytes(), file, path, options);
  file->drop_pages();
  raw.mappings.push_back(file);
  return raw;
}

}  // namespace

void check_tensor_count(std::size_t count, const std::string& file) {
  if (count > kMostTensors) fail("[weights] {}: expected at most {} tensors, found more", file, kMostTensors);
}

RawFile read_raw_file(const std::string& path, const ReadOptions& options) {
  ModelPlace place = find_model_file(path);
  RawFile raw = read_file(place.file, options);
  raw.file = std::move(place.file);
  raw.config = std::move(place.config);
  raw.folder = place.folder;
  raw.notices.insert(raw.notices.begin(), place.notices.begin(), place.notices.end());
  return raw;
}

RawFile read_raw_file(std::span<const std::byte> bytes, const std::string& name, const ReadOptions& options) {
  if (bytes.empty()) fail("[weights] {}: expected a weight file, found no bytes", name);
  RawFile raw = parse_file(bytes, nullptr, name, options);
  raw.file = name;
  return raw;
}

}  // namespace gcvit::formats
