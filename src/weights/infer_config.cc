// SPDX-License-Identifier: Apache-2.0
#include "weights/infer_config.h"

#include <system_error>
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>

#include "base/error.h"
#include "model/tensor_table.h"
#include "formats/in_quotes.h"

namespace gcvit::weights {
namespace {

using model::kLargestImage;
using model::kLevels;
namespace tensors = model::tensors;

// The limits of model::validate, needed here to count and to double without surprises.
constexpr std::int32_t kMostBlocks = 1000;
constexpr std::int32_t kTimmSqueezeDivisor = 8;

/// One more than the largest N of the names "PREFIX.N."; 0 when there is none.
std::int32_t count_indices(std::span<const formats::NamedTensor> tensors, const std::string& prefix,
                           const std::string& file) {
  std::int32_t count = 0;
  for (const formats::NamedTensor& tensor : tensors) {
    if (!tensor.name.starts_with(prefix)) continue;
    const char* const begin = tensor.name.data() + prefix.size();
    const char* const end = tensor.name.data() + tensor.name.size();
    std::int32_t index = -1;
    const auto [rest, error] = std::from_chars(begin, end, index);
    if (error == std::errc::invalid_argument || rest == end || *rest != '.') continue;
    if (error != std::errc{} || index < 0 || index >= kMostBlocks) {
      fail("[weights] {}: tensor {}: expected a number below {}", file, formats::in_quotes(tensor.name), kMostBlocks);
    }
    count = std::max(count, index + 1);
  }
  return count;
}

class Inference {
 public:
  Inference(std::span<const formats::NamedTensor> tensors, const std::string& file, const InferOptions& options)
      : tensors_(tensors), file_(file), options_(options) {
    for (const formats::NamedTensor& tensor : tensors) by_name_.emplace(tensor.name, &tensor.tensor);
  }

  InferredConfig run() {
    read_dim();
    read_levels();
    read_mlp_ratio();
    read_layer_scale();
    read_classes();
    read_image_size();
    check();
    return {config_, std::move(reasons_)};
  }

 private:
  const Tensor* find(const std::string& name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : found->second;
  }

  /// Axis `axis` of a tensor that must be there with `rank` axes.
  std::int32_t axis(const std::string& name, std::size_t rank, std::size_t axis, std::string_view what) const {
    const Tensor* const tensor = find(name);
    if (tensor == nullptr) fail("[weights] {}: no {}, which tells {}", file_, name, what);
    const Dims& dims = tensor->dims();
    if (dims.size() != rank || dims[axis] < 1 || dims[axis] > INT32_MAX) {
      fail("[weights] {}: tensor {}: expected {} axes that tell {}, found {}", file_, formats::in_quotes(name), rank,
           what, to_string(dims));
    }
    return static_cast<std::int32_t>(dims[axis]);
  }

  void read_dim() {
    config_.dim = axis(std::string(tensors::kStemWeight), 4, 0, "dim");
    reasons_.push_back(fmt::format("dim {} from {}", config_.dim, tensors::kStemWeight));
    const std::int32_t squeezed = axis(std::string(tensors::kStemSqueeze), 2, 0, "the squeezed width");
    if (squeezed != config_.squeezed_channels(config_.dim)) config_.squeeze_divisor = kTimmSqueezeDivisor;
    if (squeezed != config_.squeezed_channels(config_.dim)) {
      fail(
          "[weights] {}: squeeze-and-excitation narrows {} channels to {}: expected a quarter, as it is or rounded to "
          "a "
          "multiple of {} as timm does",
          file_, config_.dim, squeezed, kTimmSqueezeDivisor);
    }
    if (config_.squeeze_divisor != 1) {
      reasons_.push_back(
          fmt::format("squeeze-and-excitation rounded to multiples of {}, as {} channels are narrowed to {}",
                      config_.squeeze_divisor, config_.dim, squeezed));
    }
  }

  void read_levels() {
    for (std::int32_t level = 0; level < kLevels; ++level) {
      const auto l = static_cast<std::size_t>(level);
      const std::string blocks = model::blocks_prefix(level);
      const std::string extractions = model::query_generator_prefix(level);
      config_.depths[l] = count_indices(tensors_, blocks, file_);
      extractions_[l] = count_indices(tensors_, extractions, file_);
      if (config_.depths[l] == 0) fail("[weights] {}: no {}0: expected 4 levels of blocks", file_, blocks);
      if (extractions_[l] == 0) fail("[weights] {}: no {}0", file_, extractions);

      const std::string table = model::with_numbers(tensors::kBiasTable, level);
      config_.heads[l] = axis(table, 2, 1, "the heads");
      const std::int32_t rows = axis(table, 2, 0, "the window");
      const auto root = static_cast<std::int32_t>(std::lround(std::sqrt(static_cast<double>(rows))));
      if (std::int64_t{root} * root != rows || root % 2 == 0) {
        fail("[weights] {}: tensor {}: {} rows are no (2h-1)^2: windows that aren't square can't be inferred", file_,
             formats::in_quotes(table), rows);
      }
      const std::int32_t side = (root + 1) / 2;
      config_.windows[l] = {side, side};
      windows_[l] = side;
    }
    reasons_.push_back(fmt::format("depths {} from the blocks counted", fmt::join(config_.depths, ", ")));
    reasons_.push_back(fmt::format("heads {} and windows {} from the relative position bias tables",
                                   fmt::join(config_.heads, ", "), fmt::join(windows_, ", ")));
  }

  /// From the widest level: there the ratio is known most finely, as hidden = floor(ratio * channels).
  void read_mlp_ratio() {
    const std::string name = model::with_numbers(tensors::kFc1Weight, kLevels - 1);
    const std::int32_t hidden = axis(name, 2, 0, "mlp_ratio");
    const std::int32_t channels = axis(name, 2, 1, "mlp_ratio");
    config_.mlp_ratio = static_cast<double>(hidden) / channels;
    if (config_.mlp_ratio * channels < hidden) config_.mlp_ratio = std::nextafter(config_.mlp_ratio, HUGE_VAL);
    reasons_.push_back(fmt::format("mlp_ratio {} from {}", config_.mlp_ratio, name));
  }

  void read_layer_scale() {
    const std::string gamma = model::with_numbers(tensors::kGamma1, 0);
    config_.layer_scale = find(gamma) != nullptr;
    reasons_.push_back((config_.layer_scale ? "layer scale, as there is " : "no layer scale, as there is no ") + gamma);
  }

  void read_classes() {
    const std::string head(tensors::kHeadWeight);
    if (find(head) == nullptr && options_.classes) {
      config_.classes = *options_.classes;
      reasons_.push_back(fmt::format("classes {} as asked: the file has no head", config_.classes));
      return;
    }
    config_.classes = axis(head, 2, 0, "the classes");
    reasons_.push_back(fmt::format("classes {} from {}", config_.classes, head));
  }

  void read_image_size() {
    if (extractions_[0] < 2) {
      if (!options_.image_size) {
        fail(
            "[weights] {}: the image size can't be inferred from a single feature extraction in level1: give "
            "--image-size",
            file_);
      }
      config_.image_height = options_.image_size->height;
      config_.image_width = options_.image_size->width;
      reasons_.push_back(fmt::format("image size {}x{} as given: a single feature extraction in level1 leaves it open",
                                     config_.image_height, config_.image_width));
      return;
    }
    std::int64_t size = std::int64_t{4} * windows_[0];
    for (std::int32_t k = 0; k < extractions_[0] && size <= kLargestImage; ++k) size *= 2;
    if (size > kLargestImage) {
      fail("[weights] {}: {} feature extractions in level1 and windows of {} give images over {} pixels", file_,
           extractions_[0], windows_[0], kLargestImage);
    }
    config_.image_height = config_.image_width = static_cast<std::int32_t>(size);
    reasons_.push_back(fmt::format("image size {} from {} halvings of level1's map to its window of {}", size,
                                   extractions_[0], windows_[0]));
  }

  /// The config must be one the model takes, and the generators as many as its maps and windows ask for.
  void check() const {
    try {
      model::validate(config_);
    } catch (const Error& error) {
      fail("[weights] {}: the tensors give no GCViT: {}", file_, formats::without_area(error.what()));
    }
    for (int level = 0; level < kLevels; ++level) {
      const auto l = static_cast<std::size_t>(level);
      const std::int32_t needed = std::max(config_.query_reductions(level), 1);
      if (extractions_[l] == needed) continue;
      const ops::Window map = config_.map(level);
      fail(
          "[weights] {}: level{} has {} feature extractions: a {}x{} image, whose map is {}x{} there, and windows of "
          "{} need {}",
          file_, level + 1, extractions_[l], config_.image_height, config_.image_width, map.height, map.width,
          windows_[l], needed);
    }
  }

  std::span<const formats::NamedTensor> tensors_;
  const std::string& file_;
  const InferOptions& options_;
  std::map<std::string_view, const Tensor*> by_name_;
  model::GCViTConfig config_;
  std::array<std::int32_t, kLevels> extractions_{};
  std::array<std::int32_t, kLevels> windows_{};
  std::vector<std::string> reasons_;
};

}  // namespace

InferredConfig infer_config(std::span<const formats::NamedTensor> tensors, const std::string& file,
                            const InferOptions& options) {
  return Inference(tensors, file, options).run();
}

}  // namespace gcvit::weights
