// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
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

/// Number of an axis, and how far apart they are.
struct Steps {
  std::size_t count = 1;
  std::int64_t stride = 0;
};

/// An image's axes in the memory of its array.
struct Steps3 {
  Steps rows, columns, channels;
};

Steps3 steps_of(const Array& array, const Axes& axes) {
  const auto steps = [&](int axis) {
    const auto at = static_cast<std::size_t>(axis);
    return axis < 0 ? Steps{} : Steps{array.shape(at), array.stride(at)};
  };
  return {steps(axes.height), steps(axes.width), steps(axes.channels)};
}

/// Writes `byte_of(value)` of each pixel's channels, row by row, wherever they lie.
template <typename T, typename ByteOf>
void convert(const T* from, const Steps3& steps, std::uint8_t* to, const ByteOf& byte_of) {
  for (std::size_t y = 0; y < steps.rows.count; ++y) {
    const T* pixel = from + static_cast<std::int64_t>(y) * steps.rows.stride;
    for (std::size_t x = 0; x < steps.columns.count; ++x, pixel += steps.columns.stride) {
      const T* value = pixel;
      for (std::size_t c = 0; c < steps.channels.count; ++c, value += steps.channels.stride) *to++ = byte_of(*value);
    }
  }
}

/// IEEE 754's binary16.
float value_of_half(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16;
  const std::uint32_t magnitude = static_cast<std::uint32_t>(bits & 0x7fffU) << 13;
  if (magnitude >= 0x7c00U << 13)
    return std::bit_cast<float>(sign | 0x7f80'0000U | magnitude);  // infinite, or no number
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112F));
}

float value_of_bfloat(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

/// Floats from 0 to 1; `value_of` makes a float or double of what is stored.
template <typename T, typename ValueOf>
void round_values(const T* from, const Steps3& steps, std::uint8_t* to, const std::string& name,
                  const ValueOf& value_of) {
  convert(from, steps, to, [&](T stored) {
    const auto value = value_of(stored);
    if (!(value >= 0 && value <= 1)) {
      refuse(name, "expected floats from 0 to 1, found " + std::to_string(value) + ": divide by 255, or give uint8");
    }
    return static_cast<std::uint8_t>(value * 255 + decltype(value){0.5});
  });
}

void copy_bytes(const std::uint8_t* from, const Steps3& steps, std::uint8_t* to) {
  const std::size_t row = steps.columns.count * steps.channels.count;
  const bool whole_rows = steps.columns.stride == static_cast<std::int64_t>(steps.channels.count) &&
                          (steps.channels.stride == 1 || steps.channels.count == 1);
  if (!whole_rows) return convert(from, steps, to, [](std::uint8_t value) { return value; });
  for (std::size_t y = 0; y < steps.rows.count; ++y) {
    std::memcpy(to + y * row, from + static_cast<std::int64_t>(y) * steps.rows.stride, row);
  }
}

std::string type_of(const Array& array) {
  constexpr std::array kKinds = {"int", "uint", "float", "object", "bfloat", "complex", "bool"};
  const std::size_t kind = array.dtype().code;
  return (kind < kKinds.size() ? kKinds.at(kind) : "type") + std::to_string(array.dtype().bits);
}

constexpr nb::dlpack::dtype kHalf{static_cast<std::uint8_t>(nb::dlpack::dtype_code::Float), 16, 1};
constexpr nb::dlpack::dtype kBfloat{static_cast<std::uint8_t>(nb::dlpack::dtype_code::Bfloat), 16, 1};

Pixels pixels_of(const Array& array, const std::string& name) {
  const Steps3 steps = steps_of(array, axes_of(array, name));
  Pixels pixels{.bytes = {},
                .height = side_of(steps.rows.count, array, name),
                .width = side_of(steps.columns.count, array, name),
                .order = order_of(steps.channels.count)};
  const nb::gil_scoped_release released;
  pixels.bytes.resize(array.size());
  std::uint8_t* const to = pixels.bytes.data();
  const auto as = [&]<typename T>(T) { return static_cast<const T*>(array.data()); };
  if (array.dtype() == nb::dtype<std::uint8_t>()) {
    copy_bytes(as(std::uint8_t{}), steps, to);
  } else if (array.dtype() == nb::dtype<std::uint16_t>()) {  // as 16-bit PNGs are read
    convert(as(std::uint16_t{}), steps, to,
            [](std::uint16_t value) { return static_cast<std::uint8_t>((value + 128) / 257); });
  } else if (array.dtype() == kHalf) {
    round_values(as(std::uint16_t{}), steps, to, name, value_of_half);
  } else if (array.dtype() == kBfloat) {
    round_values(as(std::uint16_t{}), steps, to, name, value_of_bfloat);
  } else if (array.dtype() == nb::dtype<float>()) {
    round_values(as(float{}), steps, to, name, std::identity());
  } else if (array.dtype() == nb::dtype<double>()) {
    round_values(as(double{}), steps, to, name, std::identity());
  } else {
    refuse(name, "expected an array of uint8, uint16, float16, bfloat16, float32 or float64, found " + type_of(array));
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
