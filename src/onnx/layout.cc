// SPDX-License-Identifier: Apache-2.0
// Values in the forms that nodes want: maps [N, C, H, W] and tokens [N * H * W, C].
#include "onnx/names.h"
#include "onnx/state.h"

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
  return graph.add("Reshape", name, {x, graph.integers("shape", target)}, axes);
}

std::string OnnxBackend::State::map(const Value& value) {
  if (!entry(value).map.empty()) return entry(value).map;
  const Shape shape = value.shape();
  const Axes axes{1, shape.channels, shape.height, shape.width};
  const std::string layer = below(entry(value).layer, "to_map");
  if (shape.positions() == 1) return entry(value).map = reshape(entry(value).tokens->name, layer, axes);
  const Axes channels_last{1, shape.height, shape.width, shape.channels};
  const Tokens from = *entry(value).tokens;
  const std::string by_row = is_row_by_row(from.window, shape)
                                 ? reshape(from.name, layer + "/rows", channels_last)
                                 : reorder(value, from.window, true, layer + "/rows", channels_last);
  return entry(value).map =
             graph.add("Transpose", layer, {by_row}, axes, {{"perm", std::vector<std::int64_t>{0, 3, 1, 2}}});
}

std::string OnnxBackend::State::tokens(const Value& value, Window window) {
  const Shape shape = value.shape();
  const Window order = order_of(window, shape);
  const std::optional<Tokens>& have = entry(value).tokens;
  if (have && have->window == order) return have->name;

  const Axes axes{shape.positions(), shape.channels};
  const std::string& layer = entry(value).layer;
  std::string name;
  if (is_row_by_row(order, shape)) {
    name = have ? reorder(value, have->window, true, below(layer, "to_rows"), axes) : rows_of_map(value);
  } else {
    // From the map and from windows of another size by way of rows: these two moves are the fast ones.
    if (!have || !is_row_by_row(have->window, shape)) tokens(value, {shape.height, shape.width});
    name = reorder(value, order, false, below(layer, "to_windows"), axes);
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
  const std::string channels_last =
      graph.add("Transpose", below(layer, "to_rows/transpose"), {map(value)},
                {1, shape.height, shape.width, shape.channels}, {{"perm", std::vector<std::int64_t>{0, 2, 3, 1}}});
  return reshape(channels_last, below(layer, "to_rows"), axes);
}

std::string OnnxBackend::State::reorder(const Value& value, Window window, bool to_rows, const std::string& layer,
                                        const Axes& axes) {
  const Shape shape = value.shape();
  const std::int64_t down = shape.height / window.height;
  const std::int64_t across = shape.width / window.width;
  const Axes rows{1, down, window.height, across, window.width, shape.channels};
  const Axes windows{1, down, across, window.height, window.width, shape.channels};
  const std::string parted = reshape(entry(value).tokens->name, layer + "/split", to_rows ? windows : rows);
  const std::string moved = graph.add("Transpose", layer + "/transpose", {parted}, to_rows ? rows : windows,
                                      {{"perm", std::vector<std::int64_t>{0, 1, 3, 2, 4, 5}}});
  return reshape(moved, layer, axes);
}

}  // namespace gcvit::onnx
