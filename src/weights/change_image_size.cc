// SPDX-License-Identifier: Apache-2.0
#include "weights/change_image_size.h"

#include <nlohmann/json.hpp>

#include "base/bicubic.h"
#include "base/error.h"
#include "base/json.h"
#include "model/tensor_table.h"
#include "formats/in_quotes.h"

namespace gcvit::weights {
namespace {

/// "7x7, 7x7, 14x14, 7x7"
std::string windows_text(const model::GCViTConfig& config) {
  std::vector<std::string> windows;
  for (const ops::Window& window : config.windows) windows.push_back(fmt::format("{}x{}", window.height, window.width));
  return fmt::format("{}", fmt::join(windows, ", "));
}

/// The windows of the level that a bias table stands in.
ops::Window window_of(const model::GCViTConfig& config, std::string_view name) {
  return config.windows.at(static_cast<std::size_t>(model::find_tensor(name).value().level));
}

std::int32_t table_side(std::int32_t window_side) { return 2 * window_side - 1; }

}  // namespace

void change_image_size(ModelInfo& info, model::ImageSize size, model::WindowMode mode, const std::string& file) {
  const model::GCViTConfig before = info.config;
  if (size == before.image_size()) return;
  try {
    info.config = model::with_image_size(before, size, mode);
  } catch (const Error& error) {
    fail("[weights] {}: {}", file, formats::without_area(error.what()));
  }
  std::vector<std::string>& lines = info.source.inferred;
  lines.push_back(fmt::format("image size {}x{} as asked instead of {}x{}", size.height, size.width,
                              before.image_height, before.image_width));
  if (info.config.windows != before.windows) {
    lines.push_back(fmt::format("windows {} instead of {}, relative position bias tables resized to them bicubically",
                                windows_text(info.config), windows_text(before)));
  }
  if (info.config.native_image) {
    lines.push_back(
        fmt::format("windows stay {} as for {}x{} images: maps are padded to whole windows, queries resized",
                    windows_text(info.config), info.config.native_image->height, info.config.native_image->width));
  }
  if (info.preprocess_json.empty()) return;
  nlohmann::ordered_json preprocess = parse_ordered_json(info.preprocess_json, "model", file + ": gcvit.preprocess");
  if (!preprocess.contains("image_size")) return;
  preprocess["image_size"] = {size.height, size.width};
  info.preprocess_json = preprocess.dump();
}

Dims dims_in_file(const ops::Parameter& parameter, const model::GCViTConfig& config) {
  if (parameter.role != ops::Role::kBiasTable) return parameter.dims;
  const ops::Window window = window_of(config, parameter.name);
  return {std::int64_t{table_side(window.height)} * table_side(window.width), parameter.dims[1]};
}

Tensor resize_bias_table(const ops::Parameter& parameter, Tensor values, const model::GCViTConfig& stored,
                         const model::GCViTConfig& wanted) {
  if (wanted.windows == stored.windows) return values;
  return resize_bias_table(values, window_of(stored, parameter.name), window_of(wanted, parameter.name));
}

Tensor resize_bias_table(const Tensor& table, ops::Window from, ops::Window to) {
  const BicubicResize resize{.height = table_side(from.height),
                             .width = table_side(from.width),
                             .new_height = table_side(to.height),
                             .new_width = table_side(to.width),
                             .channels = static_cast<std::int32_t>(table.dims().at(1))};
  Tensor resized(DType::kF32, {std::int64_t{resize.new_height} * resize.new_width, resize.channels});
  const std::span<float> values = resized.mutable_values();
  const std::size_t row_size = values.size() / static_cast<std::size_t>(resize.new_height);
  for (std::int32_t row = 0; row < resize.new_height; ++row) {
    resize_bicubic_row(table.values().data(), resize, row, values.data() + static_cast<std::size_t>(row) * row_size);
  }
  return resized;
}

}  // namespace gcvit::weights
