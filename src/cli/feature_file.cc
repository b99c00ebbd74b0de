// SPDX-License-Identifier: Apache-2.0
#include "cli/feature_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/atomic_file.h"
#include "base/error.h"
#include "cli/arguments.h"
#include "cli/output.h"
#include "formats/npy.h"

namespace gcvit::cli {
namespace {

constexpr std::size_t kPart = std::size_t{1} << 16;
/// Of an .npz, whose ZIP has room for 4 GB.
constexpr double kLargestNpz = 4.2e9;

/// [features], or [height, width, channels] of a map.
Dims row_dims(const ValueShape& shape) {
  if (shape.height == 1 && shape.width == 1) return {shape.channels};
  return {shape.height, shape.width, shape.channels};
}

class NpzFile : public FeatureFile {
 public:
  /// Values wait in a temporary beside the file: a ZIP has the size of its entries in front.
  NpzFile(const std::string& path, const ValueShape& shape, const std::vector<std::string>& images)
      : path_(path), values_(path, row_dims(shape)) {
    const double bytes =
        explain::npz_bytes(static_cast<double>(shape.size()) * static_cast<double>(images.size()), images);
    if (bytes > kLargestNpz) {
      fail(ErrorCode::kOutOfBudget, "[features] {}: expected at most 4 GB in an .npz, found {:.1f} GB; write a .npy",
           path, bytes / 1e9);
    }
  }

  void add(const std::string& image, std::span<const float> values) override {
    images_.push_back(image);
    values_.append(values);
  }
  void commit(const explain::FeatureSource& source) override {
    explain::write_feature_index(path_, {values_.read_back(), std::move(images_), source});
  }

 private:
  std::string path_;
  formats::NpyWriter values_;
  std::vector<std::string> images_;
};

class NpyFile : public FeatureFile {
 public:
  NpyFile(const std::string& path, const ValueShape& shape, const std::vector<std::string>& images)
      : values_(path, row_dims(shape)), names_(path.substr(0, path.size() - 3) + "txt") {
    const auto broken = std::ranges::find_if(
        images, [](const std::string& name) { return name.find_first_of("\r\n") != std::string::npos; });
    if (broken == images.end()) return;
    fail("[features] {}: expected a name without line breaks, as the names stand in a .txt; write an .npz", *broken);
  }

  void add(const std::string& image, std::span<const float> values) override {
    names_.write(image + "\n");
    values_.append(values);
  }
  void commit(const explain::FeatureSource&) override {
    names_.commit();
    values_.finish();
  }

 private:
  formats::NpyWriter values_;
  AtomicFile names_;
};

class CsvFile : public FeatureFile {
 public:
  CsvFile(const std::string& path, const ValueShape& shape) : file_(path) {
    std::vector<std::string> header = {"image"};
    for (std::int32_t i = 0; i < shape.channels; ++i) header.push_back(fmt::format("f{}", i));
    lines_ = csv_row(header);
  }

  void add(const std::string& image, std::span<const float> values) override {
    std::vector<std::string> fields = {image};
    for (const float value : values) fields.push_back(fmt::format("{}", value));
    lines_ += csv_row(fields);
    if (lines_.size() >= kPart) flush();
  }
  void commit(const explain::FeatureSource&) override {
    flush();
    file_.commit();
  }

 private:
  void flush() {
    file_.write(lines_);
    lines_.clear();
  }

  AtomicFile file_;
  std::string lines_;  ///< not written yet
};

}  // namespace

std::unique_ptr<FeatureFile> make_feature_file(const std::string& path, const ValueShape& shape,
                                               const std::vector<std::string>& images) {
  if (path.ends_with(".npz")) return std::make_unique<NpzFile>(path, shape, images);
  if (path.ends_with(".npy")) return std::make_unique<NpyFile>(path, shape, images);
  if (!path.ends_with(".csv")) {
    throw UsageError("--output: expected a file whose name ends in .npz, .npy or .csv, found " + path);
  }
  if (shape.height != 1 || shape.width != 1) {
    throw UsageError("--output: expected .npz or .npy for the maps of a level, found " + path);
  }
  return std::make_unique<CsvFile>(path, shape);
}

}  // namespace gcvit::cli
