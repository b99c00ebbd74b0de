// SPDX-License-Identifier: Apache-2.0
#include "report/run_report.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>

#include "report/pictures.h"
#include "report/reliability_svg.h"
#include "tests/report/markup.h"
#include "tests/testing/faults.h"
#include "tests/weights/test_files.h"

namespace gcvit::report {
namespace {

using evaluate::LabelledLogits;

image::Image plain(std::int32_t width, std::int32_t height, std::uint8_t grey) {
  return {width, height, std::vector<std::uint8_t>(static_cast<std::size_t>(width * height) * 3, grey)};
}

/// Photo i of ten: of class i % 3, taken for it but for 4 and 7, the second more surely.
LabelledLogits ten_images() {
  LabelledLogits images(3);
  for (std::int32_t i = 0; i < 10; ++i) {
    std::vector<float> logits(3);
    logits[static_cast<std::size_t>(i == 4 || i == 7 ? 0 : i % 3)] = static_cast<float>(1 + i);
    images.add(i % 3, logits);
  }
  return images;
}

RunReport report_of(const std::vector<std::string>& classes) {
  const LabelledLogits images = ten_images();
  RunReport report;
  report.title = "xxtiny on <b>flowers</b>";
  report.facts = {{"data", "a & b"}, {"recipe", "--lr 1e-3"}};
  report.rows = {{1, 1.0, 0.5, 1.1, 0.6, 1e-3, 60, 9.5}, {2, 0.5, 0.75, 0.7, 0.8, 1e-3, 60, 9.5}};
  report.classes = classes;
  report.best_epoch = 2;
  report.uncalibrated = images.metrics();
  report.metrics = images.metrics(1.5);
  report.temperature = 1.5;
  report.mistakes = surest_mistakes(images, 1.5, 5);
  report.samples = samples_of(images, 1.5, 4);
  for (Example& example : report.mistakes) {
    example.name = "roses/<img src=x onerror=alert(1)>.jpg";
    example.picture = plain(32, 32, 90);
  }
  report.commands = {{"Classify a photo", "gcvit classify -m runs/x/best.safetensors photo.jpg"}};
  return report;
}

TEST(Examples, TheSurestMistakesComeFirst) {
  const std::vector<Example> all = surest_mistakes(ten_images(), 1.0, 5);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].image, 7u);
  EXPECT_EQ(all[0].label, 1);
  EXPECT_EQ(all[0].predicted, 0);
  EXPECT_EQ(all[1].image, 4u);
  EXPECT_GT(all[0].probability, all[1].probability);
  EXPECT_FALSE(all[0].right());
  EXPECT_EQ(surest_mistakes(ten_images(), 1.0, 1).size(), 1u);
  EXPECT_LT(surest_mistakes(ten_images(), 3.0, 1)[0].probability, all[0].probability);
}

TEST(Examples, OfMistakesAddedOneByOneTheSurestStay) {
  const LabelledLogits images = ten_images();
  SurestMistakes mistakes(1.0, 1);
  for (std::size_t i = 0; i < images.size(); ++i) mistakes.add(100 + i, images.label(i), images.logits(i));
  ASSERT_EQ(mistakes.found().size(), 1u);
  EXPECT_EQ(mistakes.found()[0].image, 107u);
  // Among equals the first.
  SurestMistakes equal(1.0, 2);
  for (std::size_t i = 0; i < 3; ++i) equal.add(i, 1, std::vector<float>{2, 0});
  ASSERT_EQ(equal.found().size(), 2u);
  EXPECT_EQ(equal.found()[0].image, 0u);
  EXPECT_EQ(equal.found()[1].image, 1u);
}

TEST(Examples, NumbersAreSpreadOut) {
  EXPECT_EQ(spread_out(10, 3), (std::vector<std::size_t>{1, 5, 8}));
  EXPECT_EQ(spread_out(2, 9), (std::vector<std::size_t>{0, 1}));
  EXPECT_TRUE(spread_out(0, 9).empty());
}

TEST(Examples, SamplesComeFromAllOver) {
  const std::vector<Example> all = samples_of(ten_images(), 1.0, 3);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].image, 1u);
  EXPECT_EQ(all[1].image, 5u);
  EXPECT_EQ(all[2].image, 8u);
  EXPECT_EQ(samples_of(ten_images(), 1.0, 99).size(), 10u);
  EXPECT_TRUE(samples_of(LabelledLogits(3), 1.0, 9).empty());
}

TEST(Examples, AThumbnailKnowsWhatItShows) {
  const image::Area wide = thumbnail_area(plain(90, 30, 0), 10);
  EXPECT_DOUBLE_EQ(wide.top, 0);
  EXPECT_DOUBLE_EQ(wide.left, 30);
  EXPECT_DOUBLE_EQ(wide.height, 30);
  EXPECT_DOUBLE_EQ(wide.width, 30);
  const image::Area tall = thumbnail_area(plain(20, 60, 0), 40);
  EXPECT_DOUBLE_EQ(tall.top, 20);
  EXPECT_DOUBLE_EQ(tall.left, 0);
}

TEST(Examples, ThumbnailsAreTheMiddle) {
  image::Image wide = plain(90, 30, 0);
  for (std::size_t y = 0; y < 30; ++y) {
    for (std::size_t x = 30; x < 60; ++x) wide.pixels[(y * 90 + x) * 3] = 200;
  }
  const image::Image square = thumbnail(wide, 10);
  EXPECT_EQ(square.width, 10);
  EXPECT_EQ(square.height, 10);
  EXPECT_EQ(square.pixels[(5 * 10 + 5) * 3], 200);
  EXPECT_EQ(square.pixels[(5 * 10 + 5) * 3 + 1], 0);
  for (const auto& [width, height] : {std::pair{1, 1}, {1, 5000}, {5000, 1}, {160, 160}}) {
    EXPECT_EQ(thumbnail(plain(width, height, 77), 160).pixels, plain(160, 160, 77).pixels) << width;
  }
}

TEST(RunReport, IsAWholePageInWhichNamesAreText) {
  const std::string html = report_html(report_of({"daisy", "\"><script>x</script>", "tulips & co"}));
  EXPECT_EQ(testing::complaint_about_markup(html), "");
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(html.find("<img src=x"), std::string::npos);
  EXPECT_EQ(html.find("<b>flowers"), std::string::npos);
  EXPECT_NE(html.find("roses/<wbr>&lt;img src=x onerror=alert(1)&gt;<wbr>.jpg"), std::string::npos);
  EXPECT_NE(html.find("80.0 %"), std::string::npos);
  EXPECT_NE(html.find("8 of 10 validation photos"), std::string::npos);
  EXPECT_NE(html.find("use the fitted temperature 1.5, as gcvit classify does. Without it the loss is "),
            std::string::npos);
  EXPECT_NE(html.find("<pre><code>gcvit classify -m runs/x/best.safetensors photo.jpg</code></pre>"),
            std::string::npos);
  // Nothing is loaded from anywhere.
  EXPECT_EQ(html.find("src=\"http"), std::string::npos);
  EXPECT_EQ(html.find("url("), std::string::npos);
  EXPECT_NE(html.find("src=\"data:image/webp;base64,"), std::string::npos);
  EXPECT_NE(html.find("can't be read"), std::string::npos);  // samples without a picture
}

TEST(RunReport, OfManyClassesShowsAPictureAndTheCommonestConfusions) {
  std::vector<std::string> classes;
  LabelledLogits images(60);
  for (std::int32_t i = 0; i < 60; ++i) {
    classes.push_back("class " + std::to_string(i));
    std::vector<float> logits(60);
    logits[static_cast<std::size_t>(i / 2)] = 1;
    images.add(i, logits);
  }
  RunReport report = report_of(classes);
  report.metrics = report.uncalibrated = images.metrics();
  const std::string html = report_html(report);
  EXPECT_EQ(testing::complaint_about_markup(html), "");
  EXPECT_NE(html.find("alt=\"confusion matrix\" src=\"data:image/png;base64,"), std::string::npos);
  EXPECT_NE(html.find("<details><summary>all 60</summary>"), std::string::npos);
  EXPECT_NE(html.find("taken for"), std::string::npos);
}

TEST(RunReport, SaysWhichFiguresUseTheTemperature) {
  RunReport report = report_of({"daisy", "rose", "tulip"});
  const std::string fitted = report_html(report);
  EXPECT_NE(fitted.find("loss: mean cross entropy, with the temperature"), std::string::npos);
  EXPECT_NE(fitted.find("The curves and log.csv don't use it."), std::string::npos);
  report.temperature.reset();
  report.metrics = report.uncalibrated;
  report.why_no_temperature = "4 photos are too few";
  const std::string plain = report_html(report);
  EXPECT_EQ(plain.find("with the temperature"), std::string::npos);
  EXPECT_NE(plain.find("No temperature is stored: 4 photos are too few. Loss, "), std::string::npos);
}

TEST(RunReport, OfAnEvaluationHasNoCurves) {
  RunReport report = report_of({"daisy", "rose", "tulip"});
  report.rows.clear();
  report.photos = "photos";
  report.skipped = 3;
  const std::string html = report_html(report);
  EXPECT_EQ(testing::complaint_about_markup(html), "");
  EXPECT_EQ(html.find("Curves"), std::string::npos);
  EXPECT_EQ(html.find("log.csv"), std::string::npos);
  EXPECT_EQ(html.find("alidation photos"), std::string::npos);
  EXPECT_NE(html.find("<b>3</b><span>skipped: "), std::string::npos);
  EXPECT_NE(html.find("<h2>Reliability</h2>"), std::string::npos);
  // Photos 4 and 7, of three of their class, are taken for another.
  EXPECT_NE(html.find("<h2>What it confuses most</h2>"), std::string::npos);
  EXPECT_NE(html.find("<td>2</td><td>66.7 %</td>"), std::string::npos);
}

TEST(RunReport, RatesCountOnlyRealWork) {
  RunReport report;
  report.rows = {{.epoch = 1, .loss = 0.5, .accuracy = 0.8, .seconds = 60, .images_per_second = 9.5}};
  EXPECT_NE(report_html(report).find("for 1 epoch, 9.5 photos a second"), std::string::npos);
  report.rows[0].seconds = 0.001;
  EXPECT_EQ(report_html(report).find("a second"), std::string::npos);
  // Of a linear probe the epochs are on features.
  report.rows[0] = {.epoch = 1, .loss = 0.5, .accuracy = 0.8, .seconds = 2, .images_per_second = 698'920};
  report.feature_seconds = 75.0;
  EXPECT_NE(report_html(report).find("<b>1:17</b><span>for the features (1:15) and 1 epoch</span>"), std::string::npos);
}

TEST(RunReport, NamesBreakBetweenTheirWordsOnly) {
  const std::string html = report_html(report_of({"great_grey-owl", "a/b", "x"}));
  EXPECT_NE(html.find("<bdi>great_<wbr>grey-<wbr>owl</bdi>"), std::string::npos);
  EXPECT_NE(html.find("<bdi>a/<wbr>b</bdi>"), std::string::npos);
  EXPECT_NE(html.find("<main style=\"--word:6ch\">"), std::string::npos);  // "great_"
  EXPECT_EQ(html.find("overflow-wrap:anywhere"), std::string::npos);
}

TEST(Reliability, HasABarForEachBinWithPhotos) {
  LabelledLogits images(2);
  images.add(0, std::vector<float>{9, 0});  // right and sure
  images.add(0, std::vector<float>{9, 0});
  images.add(1, std::vector<float>{9, 0});  // wrong
  images.add(1, std::vector<float>{0, 0.2f});
  const std::string svg = reliability_chart(images.metrics());
  EXPECT_EQ(testing::complaint_about_markup(svg), "");
  EXPECT_NE(svg.find("<title>2 of 3 photos right (66.7 %), mean probability 100.0 %</title>"), std::string::npos)
      << svg;
  EXPECT_NE(svg.find("<title>1 of 1 photos right (100.0 %), mean probability 55.0 %</title>"), std::string::npos)
      << svg;
  std::size_t bars = 0;
  for (std::size_t at = svg.find("<rect"); at != std::string::npos; at = svg.find("<rect", at + 1)) ++bars;
  EXPECT_EQ(bars, 2u);
}

TEST(RunReport, WithoutValidationThereIsStillAPage) {
  RunReport report;
  EXPECT_EQ(testing::complaint_about_markup(report_html(report)), "");
  report.rows = {{.epoch = 1, .loss = 0.5, .accuracy = 0.8, .seconds = 10, .images_per_second = 3}};
  const std::string html = report_html(report);
  EXPECT_EQ(testing::complaint_about_markup(html), "");
  EXPECT_NE(html.find("training accuracy, last epoch"), std::string::npos);
  EXPECT_EQ(html.find("Confusion"), std::string::npos);
}

TEST(RunReport, IsWrittenBesideItsCurves) {
  const weights::TemporaryFolder folder;
  const RunReport report = report_of({"a", "b", "c"});
  write_run_report(folder / "", report);
  EXPECT_EQ(folder.files(), 2u);
  EXPECT_EQ(weights::read_text(folder / "report.html"), report_html(report));
  EXPECT_TRUE(weights::read_text(folder / "curves.svg").starts_with("<svg"));
}

TEST(Pictures, ConfusionsHaveTheirShareOfColour) {
  const std::vector<std::string> classes = {"a", "b", "c"};
  const image::Image picture = confusion_picture(ten_images().metrics(), classes);
  image::check(picture);
  EXPECT_GT(picture.width, 3 * 56);
  // Many classes: a pixel a cell and more.
  LabelledLogits images(100);
  std::vector<float> logits(100);
  logits[7] = 1;
  images.add(7, logits);
  images.add(9, logits);
  const image::Image map = confusion_picture(images.metrics(), std::vector<std::string>(100, "x"));
  ASSERT_EQ(map.width, 600);
  const auto at = [&](std::size_t row, std::size_t column) {
    const std::uint8_t* pixel = map.pixels.data() + ((row * 6 + 3) * 600 + column * 6 + 3) * 3;
    return std::vector<int>(pixel, pixel + 3);
  };
  EXPECT_GT(at(7, 7)[1], at(7, 7)[0]);  // right: green
  EXPECT_GT(at(9, 7)[0], at(9, 7)[1]);  // wrong: red
  EXPECT_EQ(at(0, 0), at(50, 3));
  image::check(confusion_picture(LabelledLogits(1000).metrics(), std::vector<std::string>(1000, "x")));
}

TEST(Pictures, ExamplesStandInAGrid) {
  RunReport report = report_of({"daisy", "a name that is much longer than a photo is wide", "größe"});
  report.samples[0].picture = plain(40, 40, 9);
  const image::Image grid = example_grid(report.samples, report.classes);
  image::check(grid);
  EXPECT_EQ(grid.width, 10 + 4 * 170);
  EXPECT_EQ(grid.pixels[(50 * static_cast<std::size_t>(grid.width) + 50) * 3], 9);
  EXPECT_EQ(example_grid(std::span(report.samples).first(1), report.classes).width, 180);
}

TEST(RunReport, IsWholeOrNotThereOnAnyDeviceThatFails) {
  const weights::TemporaryFolder folder;
  const std::string curves = folder / "" + "/curves.svg";
  testing::expect_whole_or_not_at_all(curves, [&] { write_curves(folder / "", {}); });
  const std::string report = folder / "" + "/report.html";
  const RunReport written = report_of({"a", "b", "c"});
  write_run_report(folder / "", written);
  testing::Faults faults;
  faults.capacity = static_cast<std::int64_t>(std::filesystem::file_size(curves));
  faults.error = ENOSPC;
  EXPECT_EQ(weights::error_of([&] { write_run_report(folder / "", written); }),
            "[file] " + report + ": can't be written: No space left on device");
  EXPECT_EQ(weights::read_text(report), report_html(written));
  EXPECT_EQ(folder.files(), 2u);
}

}  // namespace
}  // namespace gcvit::report
