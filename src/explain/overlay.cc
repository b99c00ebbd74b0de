// SPDX-License-Identifier: Apache-2.0
#include "explain/overlay.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/error.h"
#include "explain/colours.h"
#include "explain/photo_map.h"
#include "image/canvas.h"
#include "image/encode.h"
#include "image/resize.h"
#include "inference/preparation.h"
#include "inference/session_state.h"

namespace gcvit {
namespace explain {
namespace {

using image::Canvas;
using image::Colour;

constexpr std::size_t kMostPanels = 16;
constexpr std::int32_t kSmallestSide = 320;
constexpr std::int32_t kLargestSide = 8192;
/// A very narrow photo's panel is wider than the photo, so that its legend can be read.
constexpr std::int32_t kNarrowestPanel = 200;
constexpr std::int32_t kPixelsOfADot = 320;  ///< of a panel's width, for each pixel that a dot of a letter is wide
constexpr Colour kPaper = {255, 255, 255};
constexpr Colour kInk = {27, 32, 39};

/// Sizes in pixels of the picture, from those of its letters.
struct Layout {
  std::int32_t photo_height;
  std::int32_t photo_width;
  std::int32_t panel_width;
  std::int32_t dot;

  std::int32_t gap() const { return 4 * dot; }
  std::int32_t line() const { return Canvas::kLetterHeight * dot; }
  std::int32_t legend_height() const { return 2 * line() + 3 * gap(); }
};

Layout layout_of(const image::Image& photo, std::int32_t longest_side) {
  const std::int32_t longer = std::max(photo.height, photo.width);
  const double scale =
      static_cast<double>(std::clamp(longer, std::min(kSmallestSide, longest_side), longest_side)) / longer;
  const auto scaled = [&](std::int32_t side) {
    return std::max(1, static_cast<std::int32_t>(std::lround(scale * side)));
  };
  Layout layout{.photo_height = scaled(photo.height), .photo_width = scaled(photo.width), .panel_width = 0, .dot = 1};
  layout.panel_width = std::max(layout.photo_width, kNarrowestPanel);
  layout.dot = std::max(1, layout.panel_width / kPixelsOfADot);
  return layout;
}

image::Image resized(const image::Image& photo, const Layout& layout) {
  if (photo.height == layout.photo_height && photo.width == layout.photo_width) return photo;
  return image::resize_antialiased(photo, layout.photo_height, layout.photo_width, image::Filter::kBicubic);
}

std::uint8_t grey_of(const std::uint8_t* pixel) {
  return static_cast<std::uint8_t>((299 * pixel[0] + 587 * pixel[1] + 114 * pixel[2] + 500) / 1000);
}

/// What is explained, in a line.
std::string title_of(const Explanation& explanation) {
  if (explanation.method == ExplainMethod::kAttention) return "attention";
  return fmt::format("{}: {} {:.3g}, {}", explanation.label, name_of(explanation.of), explanation.score,
                     name_of(explanation.method));
}

std::string nothing_of(const Explanation& explanation) {
  if (explanation.method == ExplainMethod::kAttention) return "even attention";
  return "no evidence for " + explanation.label;
}

void write_fitted(Canvas& canvas, std::int32_t x, std::int32_t y, std::int32_t width, std::int32_t dot,
                  std::string_view text) {
  const std::int32_t letters = std::max(width / (Canvas::kLetterWidth * dot), 2);
  canvas.write(x, y, dot, kInk, image::fitted(text, static_cast<std::size_t>(letters)));
}

void draw_legend(Canvas& canvas, std::int32_t left, const Layout& layout, const Explanation& explanation,
                 const OverlayOptions& options) {
  const std::int32_t x = left + layout.gap();
  const std::int32_t width = layout.panel_width - 2 * layout.gap();
  const std::int32_t first = layout.photo_height + layout.gap();
  const std::int32_t second = first + layout.line() + layout.gap();
  write_fitted(canvas, x, first, width, layout.dot, title_of(explanation));
  if (!has_evidence(explanation)) {
    write_fitted(canvas, x, second, width, layout.dot, nothing_of(explanation));
    return;
  }
  const std::string highest = fmt::format("{:.3g}", explanation.highest);
  const std::int32_t space = Canvas::kLetterWidth * layout.dot;
  const std::int32_t bar = width - 3 * space - image::written_width(highest, layout.dot);
  canvas.write(x, second, layout.dot, kInk, "0");
  const std::array<Colour, 256> colours = colours_of(options.colours);
  for (std::int32_t i = 0; i < bar; ++i) {
    const std::int32_t share = bar == 1 ? 0 : 255 * i / (bar - 1);
    canvas.fill(x + 2 * space + i, second, 1, layout.line(), colours[static_cast<std::size_t>(share)]);
  }
  canvas.write(x + 3 * space + bar, second, layout.dot, kInk, highest);
}

void check(std::span<const Explanation> explanations, const OverlayOptions& options) {
  if (explanations.empty() || explanations.size() > kMostPanels) {
    fail(ErrorCode::kInvalidArgument, "[overlay] explanations: expected 1 to {}, found {}", kMostPanels,
         explanations.size());
  }
  if (!(options.opacity >= 0 && options.opacity <= 1)) {
    fail(ErrorCode::kInvalidArgument, "[overlay] opacity: expected 0 to 1, found {}", options.opacity);
  }
  if (options.longest_side < 1 || options.longest_side > kLargestSide) {
    fail(ErrorCode::kInvalidArgument, "[overlay] longest_side: expected 1 to {} pixels, found {}", kLargestSide,
         options.longest_side);
  }
}

}  // namespace

bool has_evidence(const Explanation& explanation) { return !explanation.empty && explanation.highest > 0; }

image::Image coloured(image::Image photo, const image::Area& seen, const Explanation& explanation,
                      const OverlayOptions& options) {
  const PhotoMap map(explanation, seen, photo.height, photo.width);
  const bool has_colours = has_evidence(explanation);
  const std::array<Colour, 256> colours = colours_of(options.colours);
  std::vector<float> shares(static_cast<std::size_t>(photo.width));
  std::uint8_t* pixel = photo.pixels.data();
  for (std::int32_t y = 0; y < photo.height; ++y) {
    map.row(y, shares);
    for (std::int32_t x = 0; x < photo.width; ++x, pixel += 3) {
      if (!map.sees_row(y) || !map.sees_column(x)) {
        std::fill_n(pixel, 3, static_cast<std::uint8_t>(grey_of(pixel) * 2 / 5));
      } else if (has_colours) {
        const float share = shares[static_cast<std::size_t>(x)];
        const Colour& colour = colours[static_cast<std::size_t>(std::lround(255 * share))];
        for (std::size_t i = 0; i < 3; ++i) {
          const auto mixed = std::lerp(static_cast<float>(pixel[i]), static_cast<float>(colour[i]), options.opacity);
          pixel[i] = static_cast<std::uint8_t>(std::lround(mixed));
        }
      }
    }
  }
  return photo;
}

image::Image overlay(const image::Image& photo, const image::Area& seen, std::span<const Explanation> explanations,
                     const OverlayOptions& options) {
  check(explanations, options);
  const Layout layout = layout_of(photo, options.longest_side);
  const image::Image shown = resized(photo, layout);
  const double down = static_cast<double>(shown.height) / photo.height;
  const double across = static_cast<double>(shown.width) / photo.width;
  const image::Area area = {down * seen.top, across * seen.left, down * seen.height, across * seen.width};
  const auto panels = static_cast<std::int32_t>(explanations.size());
  Canvas canvas(panels * layout.panel_width + (panels - 1) * layout.gap(), layout.photo_height + layout.legend_height(),
                kPaper);
  for (std::int32_t i = 0; i < panels; ++i) {
    const Explanation& explanation = explanations[static_cast<std::size_t>(i)];
    const std::int32_t left = i * (layout.panel_width + layout.gap());
    canvas.paste(left, 0, coloured(shown, area, explanation, options));
    draw_legend(canvas, left, layout, explanation, options);
  }
  return canvas.picture();
}

}  // namespace explain

std::string_view name_of(ColourMap colours) { return colours == ColourMap::kViridis ? "viridis" : "inferno"; }

PhotoValues on_photo(const Session& session, const Image& photo, const Explanation& explanation) {
  const inference::Preparation& preparation = session.state().preparation;
  const image::Image pixels = inference::decode(photo, preparation.decode);
  const image::Area seen = image::seen_area(pixels.height, pixels.width, preparation.preprocess);
  const explain::PhotoMap map(explanation, seen, pixels.height, pixels.width);
  const auto width = static_cast<std::size_t>(pixels.width);
  PhotoValues result{pixels.height, pixels.width, std::vector<float>(static_cast<std::size_t>(pixels.height) * width)};
  for (std::int32_t y = 0; y < pixels.height; ++y) {
    map.row(y, std::span(result.values).subspan(static_cast<std::size_t>(y) * width, width));
  }
  return result;
}

std::string overlay_png(const Session& session, const Image& photo, std::span<const Explanation> explanations,
                        const OverlayOptions& options) {
  const inference::Preparation& preparation = session.state().preparation;
  const image::Image pixels = inference::decode(photo, preparation.decode);
  const image::Area seen = image::seen_area(pixels.height, pixels.width, preparation.preprocess);
  return image::encode_png(explain::overlay(pixels, seen, explanations, options));
}

}  // namespace gcvit
