// SPDX-License-Identifier: Apache-2.0
// Values in the forms that nodes want, maps [N, C, H, W] and tokens [N * H * W, C], and what only moves positions.
#include <cmath>
#include <limits>

#include "onnx/names.h"
#include "onnx/state.h"
#include "ops/shape.h"
#include "base/error.h"

namespace gcvit::onnx {

using ops::Shape;
using ops::Value;
using ops::Window;

namespace {

/// Windows as wide as the map follow each other as its rows do, so their order is the map's own.
Window order_of(Window window, const Shape& shape) {
  return window.width == shape.width ? Window{shape.height, shape.width} : window;
}

bool is_row_by_row(Window window, const Shape& shape) { return window == Window{shape.height, shape.width}; }

}  // namespace

Value OnnxBackend::State::make_value(OnnxBackend& backend, Entry entry) {
  if (entry.tokens) entry.tokens->window = order_of(entry.tokens->window, entry.shape);
  const Shape shape = entry.shape;
  entries.push_back(std::move(entry));
  return {backend, static_cast<std::int32_t>(entries.size()) - 1, shape};
}

std::string OnnxBackend::State::reshape(const std::string& x, const std::string& name, const Axes& axes) {
  Axes target = axes;
  target[0] = -1;  // the batch, and what is joined with it
  return graph.add("Reshape", name, {graph.before_reshape(x), graph.integers("shape", target)}, axes);
}

std::string OnnxBackend::State::channels_last(const Value& value, const std::string& name) {
  const Shape shape = value.shape();
  return reshape(tokens(value, {shape.height, shape.width}), name, {1, shape.height, shape.width, shape.channels});
}

std::string OnnxBackend::State::map(const Value& value) {
  if (!entry(value).map.empty()) return entry(value).map;
  const Shape shape = value.shape();
  const Axes axes{1, shape.channels, shape.height, shape.width};
  const std::string layer = below(entry(value).layer, "to_map");
  const std::string as_map = shape.positions() == 1
                                 ? reshape(entry(value).tokens->name, layer, axes)
                                 : graph.add("Transpose", layer, {channels_last(value, layer + "/rows")}, axes,
                                             {{"perm", std::vector<std::int64_t>{0, 3, 1, 2}}});
  return entry(value).map = as_map;
}

std::string OnnxBackend::State::tokens(const Value& value, Window window) {
  const Shape shape = value.shape();
  const Window order = order_of(window, shape);
  const std::optional<Tokens>& have = entry(value).tokens;
  if (have && have->window == order) return have->name;

  std::string name;
  if (!is_row_by_row(order, shape)) {
    // From the map, and from windows of another size, by way of rows: these two moves are the fast ones.
    tokens(value, {shape.height, shape.width});
    name = reorder(value, order, false);
  } else {
    name = have ? reorder(value, have->window, true) : rows_of_map(value);
  }
  entry(value).tokens = Tokens{name, order};
  return name;
}

Tokens OnnxBackend::State::tokens(const Value& value) {
  if (!entry(value).tokens) tokens(value, {value.shape().height, value.shape().width});
  return *entry(value).tokens;
}

std::string OnnxBackend::State::rows_of_map(const Value& value) {
  const Shape shape = value.shape();
  const std::string& layer = entry(value).layer;
  const Axes axes{shape.positions(), shape.channels};
  if (shape.positions() == 1) return graph.add("Flatten", below(layer, "flatten"), {map(value)}, axes);
  const std::string moved =
      graph.add("Transpose", below(layer, "to_rows/transpose"), {map(value)},
                {1, shape.height, shape.width, shape.channels}, {{"perm", std::vector<std::int64_t>{0, 2, 3, 1}}});
  return reshape(moved, below(layer, "to_rows"), axes);
}

std::string OnnxBackend::State::reorder(const Value& value, Window window, bool to_rows) {
  const Shape shape = value.shape();
  const std::string layer = below(entry(value).layer, to_rows ? "to_rows" : "to_windows");
  const std::int64_t down = shape.height / window.height;
  const std::int64_t across = shape.width / window.width;
  const Axes rows{1, down, window.height, across, window.width, shape.channels};
  const Axes windows{1, down, across, window.height, window.width, shape.channels};
  const std::string parted = reshape(entry(value).tokens->name, layer + "/split", to_rows ? windows : rows);
  const std::string moved = graph.add("Transpose", layer + "/transpose", {parted}, to_rows ? rows : windows,
                                      {{"perm", std::vector<std::int64_t>{0, 1, 3, 2, 4, 5}}});
  return reshape(moved, layer, {shape.positions(), shape.channels});
}

Value OnnxBackend::pad_bottom_right(const Value& x, std::int32_t height, std::int32_t width) {
  const Shape shape = ops::pad_bottom_right_shape(x.shape(), height, width);
  const std::string layer = below(parent_of(state_->entry(x).layer), "pad");
  const std::string pads = state_->graph.integers(
      "pads", {0, 0, 0, 0, 0, shape.height - x.shape().height, shape.width - x.shape().width, 0});
  const std::string padded = state_->graph.add(
      "Pad", layer, {state_->channels_last(x, layer + "/rows"), pads, state_->graph.scalar("zero", 0.0f)},
      {1, shape.height, shape.width, shape.channels});
  const std::string tokens = state_->reshape(padded, layer + "/tokens", {shape.positions(), shape.channels});
  return state_->make_value(*this, {.shape = shape, .layer = layer, .tokens = Tokens{tokens, {height, width}}});
}

Value OnnxBackend::crop(const Value& x, std::int32_t height, std::int32_t width) {
  const Shape shape = ops::crop_shape(x.shape(), height, width);
  const std::string layer = below(state_->entry(x).layer, "crop");
  const std::string cropped =
      state_->graph.add("Slice", layer,
                        {state_->channels_last(x, layer + "/rows"), state_->graph.integers("starts", {0, 0}),
                         state_->graph.integers("ends", {height, width}), state_->graph.integers("axes", {1, 2})},
                        {1, shape.height, shape.width, shape.channels});
  const std::string tokens = state_->reshape(cropped, layer + "/tokens", {shape.positions(), shape.channels});
  return state_->make_value(*this, {.shape = shape, .layer = layer, .tokens = Tokens{tokens, {height, width}}});
}

namespace {

/// `to` / `from`, as the float whose product with `from` is not below `to`: ONNX rounds that product down.
float scale_to(std::int32_t from, std::int32_t to) {
  float scale = static_cast<float>(to) / static_cast<float>(from);
  while (static_cast<double>(scale) * from < to || scale * static_cast<float>(from) < static_cast<float>(to)) {
    scale = std::nextafter(scale, std::numeric_limits<float>::infinity());
  }
  return scale;
}

}  // namespace

Value OnnxBackend::resize_bicubic(const Value& x, std::int32_t height, std::int32_t width) {
  const Shape shape = ops::resize_bicubic_shape(x.shape(), height, width);
  const std::string layer = below(parent_of(state_->entry(x).layer), "resize");
  // Sizes would have to name the batch.
  const float scales[] = {1.0f, 1.0f, scale_to(x.shape().height, height), scale_to(x.shape().width, width)};
  const std::string factors = state_->graph.initialiser(
      fmt::format("scales[{}x{} to {}x{}]", x.shape().height, x.shape().width, height, width), {4}, scales);
  const std::string y = state_->graph.add(
      "Resize", layer, {state_->map(x), "", factors}, {1, shape.channels, shape.height, shape.width},
      {{"mode", "cubic"}, {"cubic_coeff_a", -0.75f}, {"coordinate_transformation_mode", "half_pixel"}});
  return state_->make_value(*this, {.shape = shape, .layer = layer, .map = y});
}

}  // namespace gcvit::onnx
