// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <nanobind/ndarray.h>

#include "gcvit/error.h"
#include "image.h"

namespace nb = nanobind;

namespace gcvit::python {
namespace {

using Array = nb::ndarray<nb::ro, nb::device::cpu>;

[[noreturn]] void refuse(const std::string& name, const std::string& sentence) {
  throw Error(ErrorCode::kInvalidArgument, "[image] " + name + ": " + sentence);
}

std::string shape_of(const Array& array) {
  std::string text = "(";
  for (std::size_t axis = 0; axis < array.ndim(); ++axis) {
    text += (axis == 0 ? "" : ", ") + std::to_string(array.shape(axis));
  }
  return text + ")";
}

/// Which axes of an array are an image's height, width and channels; -1 for the channels of [H, W].
struct Axes {
  int height = 0;
  int width = 1;
  int channels = 2;
};

bool is_channels(std::size_t count) { return count == 1 || count == 3 || count == 4; }

Axes axes_of(const Array& array, const std::string& name) {
  if (array.ndim() == 2) return {.channels = -1};
  if (array.ndim() == 3 && is_channels(array.shape(2))) return {};
  if (array.ndim() == 3 && is_channels(array.shape(0))) return {.height = 1, .width = 2, .channels = 0};
  refuse(name,
         "expected an array of shape (height, width), (height, width, channels) or (channels, height, width) with 1, 3 "
         "or 4 "
         "channels, found " +
             shape_of(array));
}

ChannelOrder order_of(std::size_t channels) {
  return channels == 1 ? ChannelOrder::kGrey : channels == 3 ? ChannelOrder::kRgb : ChannelOrder::kRgba;
}

std::int32_t side_of(std::size_t side, const Array& array, const std::string& name) {
  if (side < 1 || side > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    refuse(name, "expected an image of at least 1 x 1 pixels, found an array of shape " + shape_of(array));
  }
  return static_cast<std::int32_t>(side);
}

/// Calls `take(value)` for each pixel's channels, row by row, wherever they lie.
template <typename T, typename Take>
void for_each_value(const Array& array, const Axes& axes, const Take& take) {
  struct Steps {
    std::size_t count = 1;
    std::int64_t stride = 0;
  };
  const auto steps_of = [&](int axis) {
    const auto at = static_cast<std::size_t>(axis);
    return axis < 0 ? Steps{} : Steps{array.shape(at), array.stride(at)};
  };
  const Steps rows = steps_of(axes.height);
  const Steps columns = steps_of(axes.width);
  const Steps channels = steps_of(axes.channels);
  const auto* const first = static_cast<const T*>(array.data());
  for (std::size_t y = 0; y < rows.count; ++y) {
    for (std::size_t x = 0; x < columns.count; ++x) {
      const T* pixel =
          first + static_cast<std::int64_t>(y) * rows.stride + static_cast<std::int64_t>(x) * columns.stride;
      for (std::size_t c = 0; c < channels.count; ++c) take(pixel[static_cast<std::int64_t>(c) * channels.stride]);
    }
  }
}

template <typename T>
void round_values(const Array& array, const Axes& axes, const std::string& name, std::vector<std::uint8_t>& bytes) {
  for_each_value<T>(array, axes, [&](T value) {
    if (!(value >= 0 && value <= 1)) {
      refuse(name, "expected floats from 0 to 1, found " + std::to_string(value) + ": divide by 255, or give uint8");
    }
    bytes.push_back(static_cast<std::uint8_t>(std::lround(value * 255)));
  });
}

Pixels pixels_of(const Array& array, const std::string& name) {
  const Axes axes = axes_of(array, name);
  const auto size_of = [&](int axis) {
    return axis < 0 ? std::size_t{1} : array.shape(static_cast<std::size_t>(axis));
  };
  Pixels pixels{.bytes = {},
                .height = side_of(size_of(axes.height), array, name),
                .width = side_of(size_of(axes.width), array, name),
                .order = order_of(size_of(axes.channels))};
  pixels.bytes.reserve(array.size());
  if (array.dtype() == nb::dtype<std::uint8_t>()) {
    for_each_value<std::uint8_t>(array, axes, [&](std::uint8_t value) { pixels.bytes.push_back(value); });
  } else if (array.dtype() == nb::dtype<float>()) {
    round_values<float>(array, axes, name, pixels.bytes);
  } else if (array.dtype() == nb::dtype<double>()) {
    round_values<double>(array, axes, name, pixels.bytes);
  } else {
    const std::array<const char*, 7> kinds = {"int", "uint", "float", "object", "bfloat", "complex", "bool"};
    const std::size_t kind = array.dtype().code;
    refuse(name, "expected an array of uint8, float32 or float64, found " +
                     (kind < kinds.size() ? std::string(kinds.at(kind)) : "type " + std::to_string(kind)) +
                     std::to_string(array.dtype().bits));
  }
  return pixels;
}

}  // namespace

HeldImage image_of_array(nb::handle object, const std::string& name) {
  Array array;
  if (!nb::try_cast<Array>(object, array)) {
    refuse(name, "expected an array in the CPU's memory that DLPack or the buffer protocol shows");
  }
  if (array.ndim() == 1 && array.dtype() == nb::dtype<std::uint8_t>()) {
    std::vector<std::byte> file;
    file.reserve(array.size());
    const auto* const first = static_cast<const std::byte*>(array.data());
    for (std::size_t i = 0; i < array.size(); ++i)
      file.push_back(first[static_cast<std::int64_t>(i) * array.stride(0)]);
    return HeldImage(Image::encoded(std::move(file), name));
  }
  return {pixels_of(array, name), name};
}

}  // namespace gcvit::python
