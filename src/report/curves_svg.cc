// SPDX-License-Identifier: Apache-2.0
#include "report/curves_svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>

namespace gcvit::report {
namespace {

constexpr double kWidth = 480.0;
constexpr double kHeight = 300.0;
constexpr double kLeft = 52.0;
constexpr double kRight = 464.0;
constexpr double kTop = 58.0;
constexpr double kBottom = 258.0;
/// Up to this many epochs each point has a dot with its value as a tooltip.
constexpr std::size_t kMostDots = 60;

/// Colours are attributes, which every viewer supports; style rules override them in dark mode.
constexpr std::string_view kStyle =
    "<style>"
    ".gc-text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}"
    "@media(prefers-color-scheme:dark){"
    ".gc-paper{fill:#16191f}.gc-ink{fill:#e4e7eb}.gc-faint{fill:#9aa4b1}.gc-grid{stroke:#333a45}.gc-axis{stroke:#"
    "6b7684}"
    ".gc-train{stroke:#6cb0f5}.gc-val{stroke:#ffa25c}.gc-train-dot{fill:#6cb0f5}.gc-val-dot{fill:#ffa25c}"
    "}</style>";

struct Series {
  std::string_view name;
  std::string_view style;
  std::string_view colour;
  std::vector<std::optional<double>> values;  ///< one a row; nothing where there is none

  std::optional<double> last() const {
    for (std::size_t i = values.size(); i-- > 0;) {
      if (values[i]) return values[i];
    }
    return std::nullopt;
  }
};

std::optional<double> finite(const std::optional<double>& value) {
  return value && std::isfinite(*value) ? value : std::nullopt;
}

std::vector<Series> series_of(std::span<const EpochRow> rows, Curves what) {
  const bool loss = what == Curves::kLoss;
  std::vector<Series> all = {{loss ? "loss" : "accuracy", "gc-train", "#2f6fb3", {}},
                             {loss ? "val_loss" : "val_accuracy", "gc-val", "#d2601a", {}}};
  for (const EpochRow& row : rows) {
    all[0].values.push_back(finite(loss ? row.loss : row.accuracy));
    all[1].values.push_back(finite(loss ? row.val_loss : row.val_accuracy));
  }
  std::erase_if(all, [](const Series& series) { return !series.last(); });
  return all;
}

/// A range of numbers laid along a range of the picture.
struct Axis {
  std::vector<double> ticks;
  double low;
  double high;
  double from;
  double to;

  double place(double value) const { return from + (to - from) * (value - low) / (high - low); }
};

Axis value_axis(const std::vector<Series>& all, Curves what) {
  double low = INFINITY;
  double high = -INFINITY;
  for (const Series& series : all) {
    for (const std::optional<double>& value : series.values) {
      if (!value) continue;
      low = std::min(low, *value);
      high = std::max(high, *value);
    }
  }
  if (all.empty()) {
    low = 0.0;
    high = 1.0;
  }
  // The axis of a curve that gets near 0 begins at 0; a flat curve is centred.
  if (low > 0.0 && low < 0.4 * high) low = 0.0;
  const double room = high - low > 1e-9 * std::abs(high) ? 0.0 : std::max(0.05 * std::abs(high), 1e-6);
  low -= room;
  high += room;
  Axis axis{axis_ticks(low, high, 5), 0.0, 0.0, kBottom, kTop};
  if (what == Curves::kAccuracy) std::erase_if(axis.ticks, [](double tick) { return tick > 1.0 + 1e-9; });
  axis.low = axis.ticks.front();
  axis.high = std::max(axis.ticks.back(), high);
  return axis;
}

Axis epoch_axis(std::span<const EpochRow> rows) {
  const double first = rows.empty() ? 1.0 : rows.front().epoch;
  const double last = rows.empty() ? 1.0 : rows.back().epoch;
  if (first == last) return {{first}, first - 1.0, first + 1.0, kLeft, kRight};
  Axis axis{axis_ticks(first, last, 8, true), first, last, kLeft, kRight};
  std::erase_if(axis.ticks, [&](double tick) { return tick < first || tick > last; });
  return axis;
}

/// A tick without the noise of its sum.
std::string tick_text(double tick) { return fmt::format("{:.4g}", std::abs(tick) < 1e-12 ? 0.0 : tick); }

std::string curve(std::span<const EpochRow> rows, const Series& series, const Axis& x, const Axis& y) {
  std::string path;
  std::string dots;
  bool drawing = false;
  const double radius = rows.size() <= 20 ? 3.0 : 2.0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!series.values[i]) {
      drawing = false;
      continue;
    }
    const double at_x = x.place(rows[i].epoch);
    const double at_y = y.place(*series.values[i]);
    path += fmt::format("{}{:.1f} {:.1f}", drawing ? " L" : " M", at_x, at_y);
    drawing = true;
    if (rows.size() <= kMostDots) {
      dots += fmt::format(
          "<circle class=\"{}-dot\" fill=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"><title>epoch {}: {} "
          "{:.4f}</title></circle>\n",
          series.style, series.colour, at_x, at_y, radius, rows[i].epoch, series.name, *series.values[i]);
    }
  }
  return fmt::format(
      "<path class=\"{}\" stroke=\"{}\" stroke-width=\"2\" stroke-linejoin=\"round\" stroke-linecap=\"round\" "
      "fill=\"none\" d=\"{}\"/>\n{}",
      series.style, series.colour, path.substr(std::min<std::size_t>(1, path.size())), dots);
}

std::string axes(const Axis& x, const Axis& y) {
  std::string text;
  for (const double tick : y.ticks) {
    const double at = y.place(tick);
    text += fmt::format(
        "<line class=\"gc-grid\" stroke=\"#e3e7ec\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
        "<text class=\"gc-text gc-faint\" fill=\"#5a6472\" x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n",
        kLeft, kRight, at, at, kLeft - 8.0, at + 4.0, tick_text(tick));
  }
  text += fmt::format("<line class=\"gc-axis\" stroke=\"#8a94a1\" x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>\n", kLeft,
                      kRight, kBottom, kBottom);
  for (const double tick : x.ticks) {
    text += fmt::format(
        "<line class=\"gc-axis\" stroke=\"#8a94a1\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"/>"
        "<text class=\"gc-text gc-faint\" fill=\"#5a6472\" x=\"{0:.1f}\" y=\"{3}\" text-anchor=\"middle\">{4}</text>\n",
        x.place(tick), kBottom, kBottom + 4.0, kBottom + 18.0, tick_text(tick));
  }
  return text + fmt::format(
                    "<text class=\"gc-text gc-faint\" fill=\"#5a6472\" x=\"{}\" y=\"{}\" "
                    "text-anchor=\"middle\">epoch</text>\n",
                    (kLeft + kRight) / 2.0, kBottom + 35.0);
}

/// The chart on its paper, without the <svg> around it.
std::string chart(std::span<const EpochRow> rows, Curves what) {
  const std::vector<Series> all = series_of(rows, what);
  const Axis x = epoch_axis(rows);
  const Axis y = value_axis(all, what);
  std::string text = fmt::format(
      "<rect class=\"gc-paper\" fill=\"#fff\" width=\"{}\" height=\"{}\"/>\n"
      "<text class=\"gc-text gc-ink\" fill=\"#1b2027\" x=\"16\" y=\"26\" style=\"font-size:15px;font-weight:600\">"
      "{}</text>\n",
      kWidth, kHeight, what == Curves::kLoss ? "Loss" : "Accuracy");
  text += axes(x, y);
  double legend = kRight - 150.0 * static_cast<double>(all.size());
  for (const Series& series : all) {
    text += curve(rows, series, x, y);
    text += fmt::format(
        "<line class=\"{}\" stroke=\"{}\" stroke-width=\"3\" stroke-linecap=\"round\" x1=\"{:.1f}\" x2=\"{:.1f}\" "
        "y1=\"22\" y2=\"22\"/><text class=\"gc-text gc-ink\" fill=\"#1b2027\" x=\"{:.1f}\" y=\"26\">{} {:.4f}</text>\n",
        series.style, series.colour, legend, legend + 14.0, legend + 21.0, series.name, *series.last());
    legend += 150.0;
  }
  if (all.empty()) {
    text += fmt::format(
        "<text class=\"gc-text gc-faint\" fill=\"#5a6472\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">no epoch is done "
        "yet</text>\n",
        (kLeft + kRight) / 2.0, (kTop + kBottom) / 2.0);
  }
  return text;
}

}  // namespace

std::vector<double> axis_ticks(double low, double high, int count, bool whole) {
  const double rough = (high - low) / std::max(count, 1);
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10.0 * power;
  for (const double round : {1.0, 2.0, 5.0}) {
    if (round * power >= rough * (1.0 - 1e-9)) {
      step = round * power;
      break;
    }
  }
  if (whole) step = std::max(std::round(step), 1.0);
  const double first = std::floor(low / step + 1e-9);
  const double last = std::ceil(high / step - 1e-9);
  std::vector<double> ticks;
  for (double i = first; i <= last; ++i) ticks.push_back(i * step);
  return ticks;
}

std::string curve_chart(std::span<const EpochRow> rows, Curves what) {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{} by epoch\">\n{}{}"
      "</svg>\n",
      kWidth, kHeight, what == Curves::kLoss ? "Loss" : "Accuracy", kStyle, chart(rows, what));
}

std::string curves_svg(std::span<const EpochRow> rows) {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\">\n"
      "<title>Loss and accuracy by epoch</title>\n{2}{3}<g transform=\"translate({4} 0)\">\n{5}</g>\n</svg>\n",
      2.0 * kWidth, kHeight, kStyle, chart(rows, Curves::kLoss), kWidth, chart(rows, Curves::kAccuracy));
}

}  // namespace gcvit::report
