// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "gcvit/version.h"
#include "image/encode.h"
#include "report/curves_svg.h"
#include "report/html.h"
#include "report/pictures.h"
#include "report/reliability_svg.h"
#include "report/run_report.h"
#include "base/counted.h"
#include "base/duration.h"
#include "base/printable.h"

namespace gcvit::report {
namespace {

/// Up to this many classes the confusion matrix is a table; beyond, a picture.
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
h1{font-size:26px;line-height:1.25;margin:0 0 4px;overflow-wrap:break-word}
h2{font-size:18px;margin:0 0 12px}
p{margin:0 0 12px}
.faint{color:var(--faint)}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px;margin-top:18px}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin-top:20px}
.figure{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:14px 16px}
.figure b{display:block;font-size:27px;line-height:1.2;font-weight:650;font-variant-numeric:tabular-nums}
.figure span{color:var(--faint);font-size:13px}
dl{display:grid;grid-template-columns:minmax(90px,max-content) minmax(0,1fr);gap:6px 18px;margin:0}
dt{color:var(--faint)}
dd{margin:0;overflow-wrap:break-word}
.curves{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:12px}
.curves svg,.reliability{display:block;width:100%;height:auto}
.reliability{max-width:560px}
.reliability text{fill:var(--faint);font-size:12px}
.reliability .grid{stroke:var(--line)}
.reliability .ideal{stroke:var(--faint);stroke-dasharray:5 5}
.reliability rect{fill:var(--bar)}
.wide{overflow-x:auto}
.note{margin-top:14px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:5px 10px;text-align:right;font-weight:400}
th{color:var(--faint);font-size:13px}
tbody th,th.name{text-align:left;color:var(--ink);font-size:15px}
.classes{width:100%}
.classes tr+tr>*{border-top:1px solid var(--line)}
.confusion td{border:1px solid var(--line);text-align:center;min-width:44px}
.confusion thead th{vertical-align:bottom;text-align:center}
.confusion thead th span{writing-mode:vertical-rl;transform:rotate(180deg);max-height:max(160px,var(--word))}
.confusion .sum{border:0;color:var(--faint)}
.bar{display:inline-block;width:64px;height:7px;border-radius:4px;background:var(--line);margin-left:9px;
vertical-align:middle;overflow:hidden}
.bar i{display:block;height:100%;background:var(--bar)}
.photos{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,max(140px,var(--word))),1fr));gap:14px}
.pairs{grid-template-columns:repeat(auto-fill,minmax(min(100%,max(280px,var(--word))),1fr))}
.pairs figure{display:grid;grid-template-columns:1fr 1fr;gap:0 4px;align-content:start}
.pairs figcaption,.pairs .lost{grid-column:1/-1}
figure{margin:0;min-width:0}
figure img,.lost{display:block;width:100%;aspect-ratio:1;object-fit:cover;border-radius:8px;background:var(--line)}
.lost{display:grid;place-items:center;color:var(--faint);font-size:13px}
.pairs .lost{aspect-ratio:2}
figcaption{font-size:13px;line-height:1.4;margin-top:6px;overflow-wrap:break-word}
figcaption b{font-weight:600}
.right b{color:var(--good)}
.wrong b{color:var(--bad)}
.map{display:block;width:100%;max-width:620px;height:auto;image-rendering:pixelated}
pre{margin:4px 0 14px;padding:10px 12px;border-radius:8px;background:var(--paper);border:1px solid var(--line);
overflow-x:auto;font:13px/1.5 ui-monospace,'DejaVu Sans Mono',monospace}
pre code{user-select:all}
summary{cursor:pointer;margin-bottom:10px}
footer{margin-top:22px;color:var(--faint);font-size:13px}
@media(max-width:600px){.bar{display:none}th,td{padding:5px 6px}tbody th,th.name{font-size:14px}section{padding:14px}}
</style>
</head>
<body>
)";

/// Characters of the longest word in a class name for which columns make room; longer ones break.
constexpr std::size_t kLongestWord = 36;

/// Where a name may go on in the next line besides its blanks.
bool breaks_after(char letter) { return letter == '_' || letter == '-' || letter == '/'; }

bool is_letter(char letter) { return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z'); }

/// Text for the page whose lines also end within names of files and classes, but between their words.
std::string with_breaks(std::string_view text) {
  const std::string all = escaped(text);
  std::string result;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const bool before_ending = all[i] == '.' && i > 0 && i + 1 < all.size() && is_letter(all[i + 1]);
    if (before_ending) result += "<wbr>";
    result += all[i];
    if (breaks_after(all[i])) result += "<wbr>";
  }
  return result;
}

/// A name of a class or a photo for the page.
std::string name_html(const std::string& name) { return "<bdi>" + with_breaks(name) + "</bdi>"; }

/// Characters of the longest word in the names.
std::size_t longest_word(const std::vector<std::string>& names) {
  std::size_t longest = 0;
  for (const std::string& name : names) {
    std::size_t length = 0;
    for (const char letter : printable(name)) {
      if ((letter & 0xc0) == 0x80) continue;  // goes on with a character
      length = letter == ' ' ? 0 : length + 1;
      longest = std::max(longest, length);
      if (breaks_after(letter)) length = 0;
    }
  }
  return longest;
}

std::string percent(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? "–" : fmt::format("{:.1f} %", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

class Page {
 public:
  explicit Page(const RunReport& report) : report_(report) {
    for (const std::string& name : report.classes) names_.push_back(name_html(name));
  }

  std::string text() {
    text_ = fmt::format(fmt::runtime(kHead), escaped(report_.title));
    text_ += kStyle;
    // Columns of names are a word wide at least.
    text_ += fmt::format("<main style=\"--word:{}ch\">\n", std::min(longest_word(report_.classes), kLongestWord));
    text_ += fmt::format("<h1>{}</h1>\n", with_breaks(report_.title));
    headline();
    figures();
    temperature();
    facts();
    if (is_run()) curves();
    if (report_.metrics) {
      confusion();
      commonest_confusions();
      classes();
      reliability();
    }
    mistakes();
    gallery("A look at the " + report_.photos, "Picked evenly from all of them.", report_.samples);
    commands();
    text_ += "<footer>gcvit " GCVIT_VERSION "</footer>\n</main>\n</body>\n</html>\n";
    return std::move(text_);
  }

 private:
  const std::string& name(std::int32_t label) const { return names_.at(static_cast<std::size_t>(label)); }

  bool is_run() const { return !report_.rows.empty(); }

  void headline() {
    const std::size_t epochs = report_.rows.size();
    if (epochs == 0) return;
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
             fmt::format("accuracy, {} of {} {}", metrics.top1_correct(), metrics.count(), report_.photos));
      if (names_.size() > 5) {
        figure(percent(metrics.top5_correct(), metrics.count()), "have their class among the five most probable");
      }
      figure(fmt::format("{:.4f}", metrics.loss()), "loss: mean cross entropy" + with_temperature());
      figure(fmt::format("{:.4f}", metrics.calibration_error()), "calibration error" + with_temperature());
      if (report_.skipped > 0) figure(std::to_string(report_.skipped), "skipped: they can't be read");
    } else if (!report_.rows.empty()) {
      figure(fmt::format("{:.1f} %", 100.0 * report_.rows.back().accuracy), "training accuracy, last epoch");
      figure(fmt::format("{:.4f}", report_.rows.back().loss), "training loss, last epoch");
    }
    if (is_run()) time();
    text_ += "</div>\n";
  }

  void time() {
    double seconds = report_.feature_seconds.value_or(0.0);
    for (const EpochRow& row : report_.rows) seconds += row.seconds;
    std::string what = "for ";
    if (report_.feature_seconds) what += fmt::format("the features ({}) and ", duration_text(*report_.feature_seconds));
    what += counted(report_.rows.size(), "epoch");
    // Epochs on features that are there already take milliseconds, and say nothing about photos.
    const EpochRow& last = report_.rows.back();
    if (!report_.feature_seconds && last.seconds >= kShortestForRate) {
      what += fmt::format(", {:.1f} photos a second", last.images_per_second);
    }
    figure(duration_text(seconds), what);
  }

  std::string with_temperature() const { return report_.temperature ? ", with the temperature" : ""; }

  /// Which figures are computed with the temperature.
  void temperature() {
    if (!report_.metrics) return;
    std::string text;
    if (report_.temperature && report_.uncalibrated) {
      text = fmt::format(
          "Loss, calibration error, the reliability diagram and the probabilities of photos use the fitted temperature "
          "{:.3g}, as gcvit classify does. Without it the loss is {:.4f} and the calibration error {:.4f}. ",
          *report_.temperature, report_.uncalibrated->loss(), report_.uncalibrated->calibration_error());
      if (is_run()) text += "The curves and log.csv don't use it. ";
      text += "Accuracy, confusions, recall and precision don't depend on it.";
    } else {
      text = is_run() ? "No temperature is stored" : "The model has no fitted temperature";
      if (!report_.why_no_temperature.empty()) text += ": " + escaped(report_.why_no_temperature);
      text += ". Loss, calibration error and probabilities are those of the plain softmax.";
    }
    text_ += fmt::format("<p class=\"faint note\">{}</p>\n", text);
  }

  void reliability() {
    text_ += fmt::format(
        "<section>\n<h2>Reliability</h2>\n<p class=\"faint\">How many answers of a probability were right{}. Bars "
        "above the "
        "line: the model is better than it says. Below: it is overconfident. Fainter bars have fewer photos.</p>\n{}"
        "</section>\n",
        with_temperature(), reliability_chart(*report_.metrics));
  }

  void facts() {
    if (report_.facts.empty()) return;
    text_ += fmt::format("<section>\n<h2>{}</h2>\n<dl>\n", is_run() ? "The run" : "What was measured");
    for (const Fact& fact : report_.facts) {
      text_ += fmt::format("<dt>{}</dt><dd>{}</dd>\n", escaped(fact.name), with_breaks(fact.value));
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
    const std::vector<evaluate::Confusion> all = evaluate::commonest_confusions(*report_.metrics, kShownConfusions);
    if (all.empty()) return;
    text_ +=
        "<section>\n<h2>What it confuses most</h2>\n<div class=\"wide\"><table class=\"classes\">\n<thead><tr>"
        "<th class=\"name\">what it is</th><th class=\"name\">taken "
        "for</th><th>photos</th><th>share</th></tr></thead>\n"
        "<tbody>\n";
    for (const evaluate::Confusion& one : all) {
      const std::int64_t of_class = report_.metrics->per_class()[static_cast<std::size_t>(one.row)].count;
      text_ += fmt::format("<tr><th>{}</th><th>{}</th><td>{}</td><td>{}</td></tr>\n", name(one.row), name(one.column),
                           one.count, percent(one.count, of_class));
    }
    text_ += "</tbody></table></div>\n</section>\n";
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

  static bool has_grad_cam(const std::vector<Example>& examples) {
    return std::ranges::any_of(examples, [](const Example& example) { return !example.grad_cam.pixels.empty(); });
  }

  void mistakes() {
    std::string what = "Taken for something else, the surest first. Wrong labels are often among them.";
    if (has_grad_cam(report_.mistakes)) {
      what +=
          " Beside each photo is its Grad-CAM for the class that it was taken for: the brighter a place, the more it "
          "spoke for that class. The model didn't see what is dark grey. A photo without colours has no such places.";
    }
    gallery("The surest mistakes", what, report_.mistakes);
  }

  void picture(const image::Image& pixels, std::string_view alternative) {
    text_ += fmt::format("<img alt=\"{}\" loading=\"lazy\" src=\"{}\">", alternative,
                         data_uri("image/webp", image::encode_webp(pixels, kImageQuality)));
  }

  void gallery(const std::string& title, std::string_view what, const std::vector<Example>& examples) {
    if (examples.empty()) return;
    text_ += fmt::format("<section>\n<h2>{}</h2>\n<p class=\"faint\">{}</p>\n<div class=\"photos{}\">\n", title, what,
                         has_grad_cam(examples) ? " pairs" : "");
    for (const Example& example : examples) {
      text_ += fmt::format("<figure class=\"{}\">", example.right() ? "right" : "wrong");
      if (example.picture.pixels.empty()) {
        text_ += "<span class=\"lost\">can't be read</span>";
      } else {
        picture(example.picture, "");
      }
      if (!example.grad_cam.pixels.empty()) picture(example.grad_cam, "Grad-CAM");
      text_ += fmt::format("<figcaption><b>{} {:.1f} %</b>", name(example.predicted), 100.0 * example.probability);
      if (!example.right()) text_ += fmt::format("<br>is {}", name(example.label));
      text_ += fmt::format("<br><span class=\"faint\">{}</span></figcaption></figure>\n", name_html(example.name));
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
