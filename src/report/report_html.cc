// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "gcvit/version.h"
#include "image/encode.h"
#include "report/curves_svg.h"
#include "report/html.h"
#include "report/pictures.h"
#include "report/run_report.h"
#include "base/duration.h"

namespace gcvit::report {
namespace {

/// Up to this many classes the confusion matrix is a table; beyond, a picture with the most frequent confusions.
constexpr std::size_t kWidestTable = 25;
/// Beyond this many classes their table is collapsed.
constexpr std::size_t kLongestTable = 40;
constexpr std::size_t kShownConfusions = 15;
constexpr float kImageQuality = 82.0f;

// The page loads and runs nothing but its own styles and pictures, whatever the names in it contain.
constexpr std::string_view kHead = R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>{}</title>
<style>
)";

constexpr std::string_view kStyle =
    R"(:root{--paper:#f4f6f8;--card:#fff;--ink:#1b2027;--faint:#5a6472;--line:#e3e7ec;--good:#1f7a4d;--bad:#b3372b;
--good-rgb:46,150,96;--bad-rgb:214,96,60;--bar:#2f6fb3}
@media(prefers-color-scheme:dark){:root{--paper:#0e1014;--card:#16191f;--ink:#e4e7eb;--faint:#9aa4b1;--line:#2b313a;
--good:#5fce97;--bad:#ff8f7d;--good-rgb:58,168,112;--bad-rgb:214,96,60;--bar:#6cb0f5}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,
'DejaVu Sans',sans-serif}
main{max-width:1080px;margin:0 auto;padding:28px 16px 56px}
h1{font-size:26px;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:18px;margin:0 0 12px}
p{margin:0 0 12px}
.faint{color:var(--faint)}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px;margin-top:18px}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin-top:20px}
.figure{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:14px 16px}
.figure b{display:block;font-size:27px;line-height:1.2;font-weight:650;font-variant-numeric:tabular-nums}
.figure span{color:var(--faint);font-size:13px}
dl{display:grid;grid-template-columns:minmax(90px,max-content) 1fr;gap:6px 18px;margin:0}
dt{color:var(--faint)}
dd{margin:0;overflow-wrap:anywhere}
.curves{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:12px}
.curves svg{display:block;width:100%;height:auto}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:5px 10px;text-align:right;font-weight:400}
th{color:var(--faint);font-size:13px}
tbody th,th.name{text-align:left;color:var(--ink);font-size:15px;overflow-wrap:anywhere}
.classes{width:100%}
.classes tr+tr>*{border-top:1px solid var(--line)}
.confusion td{border:1px solid var(--line);text-align:center;min-width:44px}
.confusion thead th{vertical-align:bottom;text-align:center}
.confusion thead th span{writing-mode:vertical-rl;transform:rotate(180deg);max-height:160px;overflow:hidden}
.confusion .sum{border:0;color:var(--faint)}
.bar{display:inline-block;width:64px;height:7px;border-radius:4px;background:var(--line);margin-left:9px;
vertical-align:middle;overflow:hidden}
.bar i{display:block;height:100%;background:var(--bar)}
.photos{display:grid;grid-template-columns:repeat(auto-fill,minmax(140px,1fr));gap:14px}
figure{margin:0;min-width:0}
figure img,.lost{display:block;width:100%;aspect-ratio:1;object-fit:cover;border-radius:8px;background:var(--line)}
.lost{display:grid;place-items:center;color:var(--faint);font-size:13px}
figcaption{font-size:13px;line-height:1.4;margin-top:6px;overflow-wrap:anywhere}
figcaption b{font-weight:600}
.right b{color:var(--good)}
.wrong b{color:var(--bad)}
.map{display:block;width:100%;max-width:620px;height:auto;image-rendering:pixelated}
pre{margin:4px 0 14px;padding:10px 12px;border-radius:8px;background:var(--paper);border:1px solid var(--line);
overflow-x:auto;font:13px/1.5 ui-monospace,'DejaVu Sans Mono',monospace}
pre code{user-select:all}
summary{cursor:pointer;margin-bottom:10px}
footer{margin-top:22px;color:var(--faint);font-size:13px}
</style>
</head>
<body>
<main>
)";

std::string percent(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? "–" : fmt::format("{:.1f} %", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

class Page {
 public:
  explicit Page(const RunReport& report) : report_(report) {
    for (const std::string& name : report.classes) names_.push_back("<bdi>" + escaped(name) + "</bdi>");
  }

  std::string text() {
    const std::string title = escaped(report_.title);
    text_ = fmt::format(fmt::runtime(kHead), title);
    text_ += kStyle;
    text_ += fmt::format("<h1>{}</h1>\n", title);
    headline();
    figures();
    facts();
    curves();
    if (report_.metrics) {
      confusion();
      classes();
    }
    gallery("The surest mistakes", "Validation photos that the model took for something else, the surest first.",
            report_.mistakes);
    gallery("A look at the validation photos", "Picked evenly from all of them.", report_.samples);
    commands();
    text_ += "<footer>gcvit " GCVIT_VERSION "</footer>\n</main>\n</body>\n</html>\n";
    return std::move(text_);
  }

 private:
  const std::string& name(std::int32_t label) const { return names_.at(static_cast<std::size_t>(label)); }

  void headline() {
    const std::size_t epochs = report_.rows.size();
    std::string line = fmt::format("{} epoch{}", epochs, epochs == 1 ? "" : "s");
    if (report_.best_epoch > 0) line += fmt::format(", the best was epoch {}", report_.best_epoch);
    text_ += fmt::format("<p class=\"faint\">{}</p>\n", line);
  }

  void figure(const std::string& value, const std::string& what) {
    text_ += fmt::format("<div class=\"figure\"><b>{}</b><span>{}</span></div>\n", value, what);
  }

  void figures() {
    text_ += "<div class=\"figures\">\n";
    if (report_.metrics) {
      const evaluate::Metrics& metrics = *report_.metrics;
      figure(percent(metrics.top1_correct(), metrics.count()),
             fmt::format("validation accuracy, {} of {} photos", metrics.top1_correct(), metrics.count()));
      figure(fmt::format("{:.4f}", metrics.loss()), "validation loss");
      std::string what = "calibration error";
      if (report_.temperature && report_.uncalibrated) {
        what += fmt::format(", {:.4f} before the fitted temperature {:.3g}", report_.uncalibrated->calibration_error(),
                            *report_.temperature);
      } else if (!report_.why_no_temperature.empty()) {
        what += "; no temperature is stored: " + escaped(report_.why_no_temperature);
      }
      figure(fmt::format("{:.4f}", metrics.calibration_error()), what);
    } else if (!report_.rows.empty()) {
      figure(fmt::format("{:.1f} %", 100.0 * report_.rows.back().accuracy), "training accuracy, last epoch");
      figure(fmt::format("{:.4f}", report_.rows.back().loss), "training loss, last epoch");
    }
    if (!report_.rows.empty()) {
      double seconds = report_.feature_seconds.value_or(0.0);
      for (const EpochRow& row : report_.rows) seconds += row.seconds;
      figure(duration_text(seconds),
             fmt::format("for {}{} epoch{}, {:.1f} {} a second",
                         report_.feature_seconds
                             ? fmt::format("the features ({}) and ", duration_text(*report_.feature_seconds))
                             : "",
                         report_.rows.size(), report_.rows.size() == 1 ? "" : "s",
                         report_.rows.back().images_per_second, report_.feature_seconds ? "features" : "images"));
    }
    text_ += "</div>\n";
  }

  void facts() {
    if (report_.facts.empty()) return;
    text_ += "<section>\n<h2>The run</h2>\n<dl>\n";
    for (const Fact& fact : report_.facts) {
      text_ += fmt::format("<dt>{}</dt><dd>{}</dd>\n", escaped(fact.name), escaped(fact.value));
    }
    text_ += "</dl>\n</section>\n";
  }

  void curves() {
    text_ += fmt::format("<section>\n<h2>Curves</h2>\n<div class=\"curves\">\n{}{}</div>\n</section>\n",
                         curve_chart(report_.rows, Curves::kLoss), curve_chart(report_.rows, Curves::kAccuracy));
  }

  void confusion() {
    text_ +=
        "<section>\n<h2>Confusion matrix</h2>\n<p class=\"faint\">Rows: what a photo shows. Columns: what it was "
        "taken for.</p>\n";
    if (names_.size() <= kWidestTable) {
      confusion_table();
    } else {
      const std::string png = image::encode_png(confusion_picture(*report_.metrics, report_.classes));
      text_ += fmt::format("<img class=\"map\" alt=\"confusion matrix\" src=\"{}\">\n", data_uri("image/png", png));
      commonest_confusions();
    }
    text_ += "</section>\n";
  }

  void confusion_table() {
    const evaluate::Metrics& metrics = *report_.metrics;
    text_ += "<div class=\"wide\"><table class=\"confusion\">\n<thead><tr><th></th>";
    for (const std::string& one : names_) text_ += fmt::format("<th scope=\"col\"><span>{}</span></th>", one);
    text_ += "<th></th></tr></thead>\n<tbody>\n";
    const auto classes = static_cast<std::int32_t>(names_.size());
    for (std::int32_t row = 0; row < classes; ++row) {
      const std::int64_t count = metrics.per_class()[static_cast<std::size_t>(row)].count;
      text_ += fmt::format("<tr><th scope=\"row\">{}</th>", name(row));
      for (std::int32_t column = 0; column < classes; ++column) {
        const std::int64_t found = metrics.confusion(row, column);
        if (found == 0) {
          text_ += "<td class=\"faint\">·</td>";
          continue;
        }
        const double share = static_cast<double>(found) / static_cast<double>(count);
        text_ += fmt::format("<td style=\"background:rgba(var(--{}-rgb),{:.2f})\">{}</td>",
                             row == column ? "good" : "bad", 0.1 + 0.6 * share, found);
      }
      text_ += fmt::format("<td class=\"sum\">{}</td></tr>\n", count);
    }
    text_ += "</tbody></table></div>\n";
  }

  void commonest_confusions() {
    text_ +=
        "<table class=\"classes\">\n<thead><tr><th class=\"name\">what it is</th><th class=\"name\">taken for</th>"
        "<th>photos</th></tr></thead>\n<tbody>\n";
    for (const evaluate::Confusion& one : evaluate::commonest_confusions(*report_.metrics, kShownConfusions)) {
      text_ += fmt::format("<tr><th>{}</th><th>{}</th><td>{}</td></tr>\n", name(one.row), name(one.column), one.count);
    }
    text_ += "</tbody></table>\n";
  }

  void classes() {
    const evaluate::Metrics& metrics = *report_.metrics;
    const bool folded = names_.size() > kLongestTable;
    text_ += "<section>\n<h2>Classes</h2>\n";
    if (folded) text_ += fmt::format("<details><summary>all {}</summary>\n", names_.size());
    text_ +=
        "<div class=\"wide\"><table class=\"classes\">\n<thead><tr><th class=\"name\">class</th><th>photos</th>"
        "<th title=\"of its photos, how many were recognised\">recall</th>"
        "<th title=\"of what was taken for it, how much was right\">precision</th></tr></thead>\n<tbody>\n";
    const auto count = static_cast<std::int32_t>(names_.size());
    std::vector<std::int64_t> taken_for(names_.size());
    for (const auto& [cell, found] : metrics.confusions()) taken_for[static_cast<std::size_t>(cell.second)] += found;
    for (std::int32_t label = 0; label < count; ++label) {
      const evaluate::ClassCount& own = metrics.per_class()[static_cast<std::size_t>(label)];
      const std::int64_t taken = taken_for[static_cast<std::size_t>(label)];
      text_ +=
          fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td></tr>\n", name(label), own.count,
                      with_bar(own.correct, own.count), with_bar(metrics.confusion(label, label), taken));
    }
    text_ += folded ? "</tbody></table></div>\n</details>\n</section>\n" : "</tbody></table></div>\n</section>\n";
  }

  static std::string with_bar(std::int64_t part, std::int64_t whole) {
    const double share = whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
    return fmt::format("{}<span class=\"bar\"><i style=\"width:{:.0f}%\"></i></span>", percent(part, whole),
                       100.0 * share);
  }

  void gallery(std::string_view title, std::string_view what, const std::vector<Example>& examples) {
    if (examples.empty()) return;
    text_ += fmt::format("<section>\n<h2>{}</h2>\n<p class=\"faint\">{}</p>\n<div class=\"photos\">\n", title, what);
    for (const Example& example : examples) {
      text_ += fmt::format("<figure class=\"{}\">", example.right() ? "right" : "wrong");
      if (example.picture.pixels.empty()) {
        text_ += "<span class=\"lost\">can't be read</span>";
      } else {
        text_ += fmt::format("<img alt=\"\" loading=\"lazy\" src=\"{}\">",
                             data_uri("image/webp", image::encode_webp(example.picture, kImageQuality)));
      }
      text_ += fmt::format("<figcaption><b>{} {:.1f} %</b>", name(example.predicted), 100.0 * example.probability);
      if (!example.right()) text_ += fmt::format("<br>is {}", name(example.label));
      text_ +=
          fmt::format("<br><span class=\"faint\"><bdi>{}</bdi></span></figcaption></figure>\n", escaped(example.name));
    }
    text_ += "</div>\n</section>\n";
  }

  void commands() {
    if (report_.commands.empty()) return;
    text_ += "<section>\n<h2>What next</h2>\n";
    for (const Fact& command : report_.commands) {
      text_ +=
          fmt::format("<div>{}</div>\n<pre><code>{}</code></pre>\n", escaped(command.name), escaped(command.value));
    }
    text_ += "</section>\n";
  }

  const RunReport& report_;
  std::vector<std::string> names_;  ///< of the classes, for the page
  std::string text_;
};

}  // namespace

std::string report_html(const RunReport& report) { return Page(report).text(); }

}  // namespace gcvit::report
