// SPDX-License-Identifier: Apache-2.0
#include "data/pixel_ops.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

namespace gcvit::data {
namespace {

using Table = std::array<std::uint8_t, 256>;
using Histogram = std::array<std::int64_t, 256>;

std::array<Histogram, 3> histograms(const Pixels& pixels) {
  std::array<Histogram, 3> counts{};
  for (std::size_t i = 0; i < pixels.bytes.size(); i += 3) {
    for (std::size_t channel = 0; channel < 3; ++channel) ++counts[channel][pixels.bytes[i + channel]];
  }
  return counts;
}

/// Replaces every value by its entry in its channel's table.
void look_up(const Pixels& pixels, const std::array<Table, 3>& tables) {
  for (std::size_t i = 0; i < pixels.bytes.size(); i += 3) {
    for (std::size_t channel = 0; channel < 3; ++channel) {
      pixels.bytes[i + channel] = tables[channel][pixels.bytes[i + channel]];
    }
  }
}

/// Replaces every value by what `function` makes of it.
template <typename Function>
void map_values(const Pixels& pixels, const Function& function) {
  Table table;
  for (int value = 0; value < 256; ++value)
    table[static_cast<std::size_t>(value)] = static_cast<std::uint8_t>(function(value));
  for (std::uint8_t& byte : pixels.bytes) byte = table[byte];
}

Table identity() {
  Table table;
  for (std::size_t i = 0; i < 256; ++i) table[i] = static_cast<std::uint8_t>(i);
  return table;
}

/// Pillow's: rounded ITU-R 601-2 luma.
int grey_of(const std::uint8_t* pixel) {
  return (pixel[0] * 19595 + pixel[1] * 38470 + pixel[2] * 7471 + 0x8000) >> 16;
}

/// From `from` towards `to` and beyond, cut off below the point.
std::uint8_t blend(int from, int to, float factor) {
  const float value = static_cast<float>(from) + factor * static_cast<float>(to - from);
  if (value <= 0.0f) return 0;
  return value >= 255.0f ? 255 : static_cast<std::uint8_t>(value);
}

}  // namespace

void auto_contrast(const Pixels& pixels) {
  const std::array<Histogram, 3> counts = histograms(pixels);
  std::array<Table, 3> tables;
  for (std::size_t channel = 0; channel < 3; ++channel) {
    tables[channel] = identity();
    const auto is_used = [](std::int64_t count) { return count > 0; };
    const auto low = std::find_if(counts[channel].begin(), counts[channel].end(), is_used) - counts[channel].begin();
    const auto high =
        255 - (std::find_if(counts[channel].rbegin(), counts[channel].rend(), is_used) - counts[channel].rbegin());
    if (high <= low) continue;
    const double scale = 255.0 / static_cast<double>(high - low);
    const double offset = -static_cast<double>(low) * scale;
    for (std::size_t value = 0; value < 256; ++value) {
      tables[channel][value] =
          static_cast<std::uint8_t>(std::clamp(static_cast<int>(static_cast<double>(value) * scale + offset), 0, 255));
    }
  }
  look_up(pixels, tables);
}

void equalize(const Pixels& pixels) {
  const std::array<Histogram, 3> counts = histograms(pixels);
  std::array<Table, 3> tables;
  for (std::size_t channel = 0; channel < 3; ++channel) {
    tables[channel] = identity();
    std::int64_t all = 0;
    std::int64_t last = 0;
    for (const std::int64_t count : counts[channel]) {
      all += count;
      if (count > 0) last = count;
    }
    const std::int64_t step = (all - last) / 255;
    if (step == 0) continue;
    std::int64_t sum = step / 2;
    for (std::size_t value = 0; value < 256; ++value) {
      tables[channel][value] = static_cast<std::uint8_t>(std::min<std::int64_t>(sum / step, 255));
      sum += counts[channel][value];
    }
  }
  look_up(pixels, tables);
}

void invert(const Pixels& pixels) {
  for (std::uint8_t& byte : pixels.bytes) byte = static_cast<std::uint8_t>(255 - byte);
}

void posterize(const Pixels& pixels, int bits) {
  const int mask = 0xFF & ~((1 << (8 - bits)) - 1);
  for (std::uint8_t& byte : pixels.bytes) byte = static_cast<std::uint8_t>(byte & mask);
}

void solarize(const Pixels& pixels, int threshold) {
  map_values(pixels, [=](int value) { return value < threshold ? value : 255 - value; });
}

void solarize_add(const Pixels& pixels, int amount) {
  map_values(pixels, [=](int value) { return value < 128 ? std::min(value + amount, 255) : value; });
}

void change_color(const Pixels& pixels, double factor) {
  const auto share = static_cast<float>(factor);
  for (std::size_t i = 0; i < pixels.bytes.size(); i += 3) {
    const int grey = grey_of(&pixels.bytes[i]);
    for (std::size_t channel = 0; channel < 3; ++channel) {
      pixels.bytes[i + channel] = blend(grey, pixels.bytes[i + channel], share);
    }
  }
}

void change_contrast(const Pixels& pixels, double factor) {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < pixels.bytes.size(); i += 3) sum += grey_of(&pixels.bytes[i]);
  const double count = static_cast<double>(std::max<std::size_t>(pixels.bytes.size() / 3, 1));
  const int mean = static_cast<int>(static_cast<double>(sum) / count + 0.5);
  map_values(pixels, [=](int value) { return blend(mean, value, static_cast<float>(factor)); });
}

void change_brightness(const Pixels& pixels, double factor) {
  map_values(pixels, [=](int value) { return blend(0, value, static_cast<float>(factor)); });
}

void change_sharpness(const Pixels& pixels, double factor, std::vector<std::uint8_t>& copy) {
  copy.assign(pixels.bytes.begin(), pixels.bytes.end());
  const auto share = static_cast<float>(factor);
  const auto stride = static_cast<std::size_t>(pixels.width) * 3;
  // The outermost pixels have no blurred copy and stay.
  for (std::size_t y = 1; y + 1 < static_cast<std::size_t>(pixels.height); ++y) {
    const std::uint8_t* const row = copy.data() + y * stride;
    for (std::size_t i = 3; i + 3 < stride; ++i) {
      const std::uint8_t* const at = row + i;
      const std::uint8_t* const above = at - stride;
      const std::uint8_t* const below = at + stride;
      const int sum = above[-3] + above[0] + above[3] + at[-3] + 5 * at[0] + at[3] + below[-3] + below[0] + below[3];
      pixels.bytes[y * stride + i] = blend((2 * sum + 13) / 26, at[0], share);
    }
  }
}

void affine_transform(const Pixels& pixels, const AffineMap& map, const std::array<std::uint8_t, 3>& fill,
                      std::vector<std::uint8_t>& copy) {
  copy.assign(pixels.bytes.begin(), pixels.bytes.end());
  const auto width = static_cast<std::ptrdiff_t>(pixels.width);
  const auto height = static_cast<std::ptrdiff_t>(pixels.height);
  std::uint8_t* out = pixels.bytes.data();
  for (std::ptrdiff_t y = 0; y < height; ++y) {
    for (std::ptrdiff_t x = 0; x < width; ++x, out += 3) {
      const double centre_x = static_cast<double>(x) + 0.5;
      const double centre_y = static_cast<double>(y) + 0.5;
      const double from_x = map[0] * centre_x + map[1] * centre_y + map[2];
      const double from_y = map[3] * centre_x + map[4] * centre_y + map[5];
      if (from_x < 0.0 || from_y < 0.0 || from_x >= static_cast<double>(width) ||
          from_y >= static_cast<double>(height)) {
        std::copy(fill.begin(), fill.end(), out);
        continue;
      }
      const double left = std::floor(from_x - 0.5);
      const double top = std::floor(from_y - 0.5);
      const double share_x = from_x - 0.5 - left;
      const double share_y = from_y - 0.5 - top;
      const auto x0 = std::max<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(left), 0);
      const auto y0 = std::max<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(top), 0);
      const auto x1 = std::min(static_cast<std::ptrdiff_t>(left) + 1, width - 1);
      const auto y1 = std::min(static_cast<std::ptrdiff_t>(top) + 1, height - 1);
      const std::uint8_t* const upper = copy.data() + y0 * width * 3;
      const std::uint8_t* const lower = copy.data() + y1 * width * 3;
      for (std::ptrdiff_t channel = 0; channel < 3; ++channel) {
        const auto across = [&](const std::uint8_t* row) {
          const double a = row[x0 * 3 + channel];
          const double b = row[x1 * 3 + channel];
          return a + (b - a) * share_x;
        };
        const double a = across(upper);
        const double b = across(lower);
        out[channel] = static_cast<std::uint8_t>(a + (b - a) * share_y);  // Pillow cuts off
      }
    }
  }
}

AffineMap rotation(double degrees, std::int32_t height, std::int32_t width) {
  const double angle = -degrees * std::numbers::pi / 180.0;
  const double cosine = std::cos(angle);
  const double sine = std::sin(angle);
  const double centre_x = width / 2.0;
  const double centre_y = height / 2.0;
  return {cosine, sine,   centre_x - cosine * centre_x - sine * centre_y,
          -sine,  cosine, centre_y + sine * centre_x - cosine * centre_y};
}

void mirror(const Pixels& pixels) {
  const auto stride = static_cast<std::size_t>(pixels.width) * 3;
  for (std::size_t y = 0; y < static_cast<std::size_t>(pixels.height); ++y) {
    std::uint8_t* left = pixels.bytes.data() + y * stride;
    for (std::uint8_t* right = left + stride - 3; left < right; left += 3, right -= 3)
      std::swap_ranges(left, left + 3, right);
  }
}

}  // namespace gcvit::data
