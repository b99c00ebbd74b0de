// SPDX-License-Identifier: Apache-2.0
// Pillow's resize of 8-bit pictures. The filter is stretched by the reduction, so that it averages over all pixels it
// shrinks. Along an axis of n pixels that becomes m, with s = n / m and t = max(s, 1), output i sits at c = (i + 1/2)
// s, takes the inputs x from floor(c - r t + 1/2) to below floor(c + r t + 1/2) (r: the filter's radius), and weighs
// them by f((x + 1/2 - c) / t), made to sum to 1. The weights are rounded to 22 bits behind the point, and each of the
// two passes rounds to 8 bits, so that their order shows.
#include <algorithm>
#include <cmath>
#include <cstddef>

#include "image/resize.h"
#include "base/error.h"

namespace gcvit::image {
namespace {

/// 32 bits less the 8 of a pixel and 2 for the sum, which a cubic's negative lobes let grow past the largest pixel.
constexpr int kWeightBits = 32 - 8 - 2;
constexpr std::int32_t kHalf = 1 << (kWeightBits - 1);

double bilinear(double x) {
  x = std::abs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
  return 0.0;
}

std::uint8_t to_byte(std::int32_t sum) { return static_cast<std::uint8_t>(std::clamp(sum >> kWeightBits, 0, 255)); }

/// The weights of outputs `first` to below `first + count` of an axis that goes from `from` to `to` pixels.
void prepare(ResizeScratch::Axis& axis, std::int32_t from, std::int32_t to, std::int32_t first, std::int32_t count,
             Filter filter) {
  axis.outputs.clear();
  axis.weights.clear();
  axis.first = first;
  axis.length = count;
  axis.filtered = from != to;
  if (!axis.filtered) return;

  const double radius = filter == Filter::kBilinear ? 1.0 : 2.0;
  double (*const weigh)(double) = filter == Filter::kBilinear ? bilinear : bicubic;
  const double scale = static_cast<double>(from) / to;
  const double stretch = std::max(scale, 1.0);
  const double inverse_stretch = 1.0 / stretch;
  const double support = radius * stretch;
  for (std::int32_t i = first; i < first + count; ++i) {
    const double centre = (i + 0.5) * scale;
    const std::int32_t start = std::max(static_cast<std::int32_t>(centre - support + 0.5), 0);
    const std::int32_t end = std::min(static_cast<std::int32_t>(centre + support + 0.5), from);
    if (i == first) axis.first = start;
    axis.length = end - axis.first;
    axis.outputs.push_back({start - axis.first, end - start, axis.weights.size()});

    axis.exact.clear();
    double sum = 0.0;
    for (std::int32_t x = start; x < end; ++x) {
      axis.exact.push_back(weigh((x - centre + 0.5) * inverse_stretch));
      sum += axis.exact.back();
    }
    for (double weight : axis.exact) {
      if (sum != 0.0) weight /= sum;
      axis.weights.push_back(static_cast<std::int32_t>(weight * (1 << kWeightBits) + (weight < 0.0 ? -0.5 : 0.5)));
    }
  }
}

/// Pixels between a pass and the next: rows of `stride` bytes.
struct Rows {
  const std::uint8_t* first;
  std::size_t stride;
};

/// Brings each of `count` rows to the outputs of `axis`.
void filter_rows(Rows rows, std::size_t count, const ResizeScratch::Axis& axis, std::uint8_t* out) {
  for (std::size_t y = 0; y < count; ++y, rows.first += rows.stride) {
    for (const auto& [start, taps, offset] : axis.outputs) {
      const std::uint8_t* pixel = rows.first + static_cast<std::size_t>(start) * 3;
      std::int32_t red = kHalf;
      std::int32_t green = kHalf;
      std::int32_t blue = kHalf;
      for (const std::int32_t weight : std::span(axis.weights).subspan(offset, static_cast<std::size_t>(taps))) {
        red += pixel[0] * weight;
        green += pixel[1] * weight;
        blue += pixel[2] * weight;
        pixel += 3;
      }
      *out++ = to_byte(red);
      *out++ = to_byte(green);
      *out++ = to_byte(blue);
    }
  }
}

/// Brings rows of `row_bytes` bytes to the outputs of `axis`.
void filter_columns(Rows rows, std::size_t row_bytes, const ResizeScratch::Axis& axis, std::vector<std::int32_t>& sums,
                    std::uint8_t* out) {
  sums.resize(row_bytes);
  for (const auto& [start, taps, offset] : axis.outputs) {
    std::fill(sums.begin(), sums.end(), kHalf);
    const std::uint8_t* row = rows.first + static_cast<std::size_t>(start) * rows.stride;
    for (const std::int32_t weight : std::span(axis.weights).subspan(offset, static_cast<std::size_t>(taps))) {
      for (std::size_t i = 0; i < row_bytes; ++i) sums[i] += row[i] * weight;
      row += rows.stride;
    }
    for (std::size_t i = 0; i < row_bytes; ++i) out[i] = to_byte(sums[i]);
    out += row_bytes;
  }
}

/// Pillow 13 filters columns first when that takes away far more than filtering rows would; Pillow 12 and older never
/// do, and differ there by a level or two.
bool columns_first(const Image& image, std::int32_t height, std::int32_t width) {
  const std::int64_t fewer_rows = image.height - height;
  const std::int64_t fewer_columns = image.width - width;
  return fewer_rows > 0 && fewer_rows > 2 * fewer_columns;
}

}  // namespace

void resize_antialiased(const Image& image, std::int32_t height, std::int32_t width, Filter filter,
                        const Window& window, std::span<std::uint8_t> out, ResizeScratch& scratch) {
  check(image);
  if (height < 1 || width < 1 || height > kMaxResizedSide || width > kMaxResizedSide) {
    fail(ErrorCode::kInvalidArgument,
         "[image] resize: expected target sides of 1 to {} pixels, found {} x {} (width x height)", kMaxResizedSide,
         width, height);
  }
  if (window.top < 0 || window.left < 0 || window.height < 1 || window.width < 1 ||
      window.height > height - window.top || window.width > width - window.left) {
    fail(ErrorCode::kInvalidArgument,
         "[image] resize: expected a window inside {} x {}, found {} x {} at {}, {} (width x height)", width, height,
         window.width, window.height, window.left, window.top);
  }
  const std::size_t out_row_bytes = static_cast<std::size_t>(window.width) * 3;
  const auto out_rows = static_cast<std::size_t>(window.height);
  if (out.size() != out_rows * out_row_bytes) {
    fail(ErrorCode::kInvalidArgument, "[image] resize: expected room for {} bytes, found {}", out_rows * out_row_bytes,
         out.size());
  }

  // Only the part of the picture that the window's outputs reach is looked at.
  ResizeScratch::Axis& vertical = scratch.vertical;
  ResizeScratch::Axis& horizontal = scratch.horizontal;
  prepare(vertical, image.height, height, window.top, window.height, filter);
  prepare(horizontal, image.width, width, window.left, window.width, filter);
  const std::size_t stride = static_cast<std::size_t>(image.width) * 3;
  const Rows source{image.pixels.data() + static_cast<std::size_t>(vertical.first) * stride +
                        static_cast<std::size_t>(horizontal.first) * 3,
                    stride};
  const auto source_rows = static_cast<std::size_t>(vertical.length);
  const std::size_t source_row_bytes = static_cast<std::size_t>(horizontal.length) * 3;

  if (!vertical.filtered && !horizontal.filtered) {
    for (std::size_t y = 0; y < out_rows; ++y) {
      std::copy_n(source.first + y * stride, out_row_bytes, out.data() + y * out_row_bytes);
    }
  } else if (!vertical.filtered) {
    filter_rows(source, out_rows, horizontal, out.data());
  } else if (!horizontal.filtered) {
    filter_columns(source, out_row_bytes, vertical, scratch.sums, out.data());
  } else if (columns_first(image, height, width)) {
    scratch.between.resize(out_rows * source_row_bytes);
    filter_columns(source, source_row_bytes, vertical, scratch.sums, scratch.between.data());
    filter_rows({scratch.between.data(), source_row_bytes}, out_rows, horizontal, out.data());
  } else {
    scratch.between.resize(source_rows * out_row_bytes);
    filter_rows(source, source_rows, horizontal, scratch.between.data());
    filter_columns({scratch.between.data(), out_row_bytes}, out_row_bytes, vertical, scratch.sums, out.data());
  }
}

Image resize_antialiased(const Image& image, std::int32_t height, std::int32_t width, Filter filter) {
  if (height < 1 || width < 1 || height > kMaxSide || width > kMaxSide) {
    fail(ErrorCode::kInvalidArgument,
         "[image] resize: expected target sides of 1 to {} pixels, found {} x {} (width x height)", kMaxSide, width,
         height);
  }
  Image resized{width, height,
                std::vector<std::uint8_t>(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3)};
  ResizeScratch scratch;
  resize_antialiased(image, height, width, filter, {0, 0, height, width}, resized.pixels, scratch);
  return resized;
}

}  // namespace gcvit::image
