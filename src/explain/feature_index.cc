// SPDX-License-Identifier: Apache-2.0
#include "explain/feature_index.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "base/error.h"
#include "base/file_kind.h"
#include "formats/in_quotes.h"
#include "formats/mapped_file.h"
#include "formats/npy.h"
#include "formats/npy_header.h"
#include "formats/npy_texts.h"
#include "formats/zip_archive.h"
#include "formats/zip_writer.h"

namespace gcvit::explain {
namespace {

constexpr std::string_view kFeatures = "features.npy";
constexpr std::string_view kImages = "images.npy";
constexpr std::string_view kModel = "model.npy";
constexpr std::string_view kPreprocessing = "preprocessing.npy";
constexpr std::string_view kFingerprint = "fingerprint.npy";

std::string place_of(const std::string& file, std::string_view member) {
  return fmt::format("{}: {}", file, formats::in_quotes(member));
}

const formats::ZipArchive::Entry* find(const formats::ZipArchive& archive, std::string_view member,
                                       const std::string& file) {
  const formats::ZipArchive::Entry* entry = archive.find(member);
  if (entry != nullptr) formats::check_crc(*entry, file);
  return entry;
}

const formats::ZipArchive::Entry& member_of(const formats::ZipArchive& archive, std::string_view member,
                                            const std::string& file) {
  const formats::ZipArchive::Entry* entry = find(archive, member, file);
  if (entry == nullptr) {
    fail("[npz] {}: expected the arrays \"features\" and \"images\" as `gcvit features` writes them, found no {}", file,
         formats::in_quotes(member));
  }
  return *entry;
}

/// The one text of an array; empty where there is no such array.
std::string text_of(const formats::ZipArchive& archive, std::string_view member, const std::string& file) {
  const formats::ZipArchive::Entry* entry = find(archive, member, file);
  if (entry == nullptr) return "";
  const std::vector<std::string> texts = formats::parse_npy_texts(entry->bytes, place_of(file, member));
  if (texts.size() != 1) fail("[npz] {}: expected one text, found {}", place_of(file, member), texts.size());
  return texts.front();
}

void check_finite(const Tensor& tensor, const std::string& place) {
  const std::span<const float> values = tensor.values();
  const auto found = std::ranges::find_if_not(values, [](float value) { return std::isfinite(value); });
  if (found == values.end()) return;
  const auto row_size = static_cast<std::ptrdiff_t>(values.size()) / tensor.dims().front();
  fail("[npz] {}: row {}: expected finite numbers, found {}", place, (found - values.begin()) / row_size, *found);
}

}  // namespace

double npz_bytes(double values, const std::vector<std::string>& images) {
  std::size_t longest = 1;
  for (const std::string& name : images) longest = std::max(longest, name.size());
  return sizeof(float) * values + static_cast<double>(sizeof(char32_t) * longest) * static_cast<double>(images.size());
}

void write_feature_index(const std::string& path, const FeatureIndex& index) {
  formats::ZipWriter archive(path, formats::ZipStyle::kAligned);
  const auto add_floats = [&](std::string_view member, std::span<const std::int64_t> dims,
                              std::span<const float> values) {
    const std::string header = formats::npy_header("<f4", dims);
    archive.add(member, {std::as_bytes(std::span(header)), std::as_bytes(values)});
  };
  add_floats(kFeatures, index.features.dims(), index.features.values());
  archive.add(kImages, formats::npy_of_texts(index.images));
  archive.add(kModel, formats::npy_of_texts(std::array{index.source.model}));
  archive.add(kPreprocessing, formats::npy_of_texts(std::array{index.source.preprocessing}));
  const std::array<std::int64_t, 1> size = {static_cast<std::int64_t>(index.source.fingerprint.size())};
  add_floats(kFingerprint, size, index.source.fingerprint);
  archive.finish();
}

FeatureIndex read_feature_index(const std::string& path) {
  const std::shared_ptr<const formats::MappedFile> file = formats::MappedFile::open(path, "npz");
  const std::span<const std::byte> bytes = file->bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!formats::is_zip(text)) {
    fail("[npz] {}: expected an .npz that `gcvit features` wrote, found {}", path,
         found_kind(text.substr(0, kFileKindBytes)));
  }
  const formats::ZipArchive archive(bytes, path);
  FeatureIndex index;
  index.features = formats::parse_npy(member_of(archive, kFeatures, path).bytes, file, place_of(path, kFeatures));
  index.images = formats::parse_npy_texts(member_of(archive, kImages, path).bytes, place_of(path, kImages));
  const Dims& dims = index.features.dims();
  if (dims.size() < 2 || index.features.size() == 0) {
    fail("[npz] {}: expected rows of features, found {}", place_of(path, kFeatures), to_string(dims));
  }
  if (dims.front() != static_cast<std::int64_t>(index.images.size())) {
    fail("[npz] {}: expected the names of {} images, found {}", place_of(path, kImages), dims.front(),
         index.images.size());
  }
  check_finite(index.features, place_of(path, kFeatures));
  index.source.model = text_of(archive, kModel, path);
  index.source.preprocessing = text_of(archive, kPreprocessing, path);
  if (const formats::ZipArchive::Entry* entry = find(archive, kFingerprint, path)) {
    const Tensor values = formats::parse_npy(entry->bytes, file, place_of(path, kFingerprint));
    if (values.size() > 0) check_finite(values, place_of(path, kFingerprint));
    index.source.fingerprint.assign(values.values().begin(), values.values().end());
  }
  return index;
}

}  // namespace gcvit::explain
