// SPDX-License-Identifier: Apache-2.0
#include "data/csv.h"

#include <gtest/gtest.h>

#include "data/photo_set.h"
#include "tests/weights/test_files.h"

namespace gcvit::data {
namespace {

using weights::error_of;
using weights::TemporaryFolder;
using weights::write_text;
using Names = std::vector<std::string>;

std::string shown(std::string_view text) {
  std::string result;
  for (const CsvRecord& record : parse_csv(text, "x.csv")) {
    result += std::to_string(record.line) + ":";
    for (const std::string& field : record.fields) result += "[" + field + "]";
  }
  return result;
}

TEST(Csv, FieldsAndLines) {
  EXPECT_EQ(shown("a,b\nc,,d\n"), "1:[a][b]2:[c][][d]");
  EXPECT_EQ(shown("\xef\xbb\xbf"
                  "a,b\r\n\r\nc,\r\n\n e"),
            "1:[a][b]3:[c][]5:[ e]");
  EXPECT_EQ(shown(""), "");
  EXPECT_EQ(shown("\n\r\n"), "");
  EXPECT_EQ(shown("a\rb,c"), "1:[a\rb][c]");
}

TEST(Csv, Quotes) {
  EXPECT_EQ(shown("\"a,\"\"b\"\"\nc\",d\ne"), "1:[a,\"b\"\nc][d]3:[e]");
  EXPECT_EQ(shown("\"\",\"\"\r\n"), "1:[][]");
  EXPECT_EQ(error_of([] { parse_csv("a\n\"b,c\nd", "x.csv"); }),
            "[csv] x.csv: line 2: expected a closing quote, found none");
  EXPECT_NE(error_of([] { parse_csv("a\"b,c", "x.csv"); }).find("line 1: expected a field in quotes"),
            std::string::npos);
  EXPECT_NE(error_of([] { parse_csv("\"a\"b,c", "x.csv"); }).find("found 'b'"), std::string::npos);
}

/// A list of photos in a folder of its own.
struct List : TemporaryFolder {
  std::string path;
  explicit List(std::string_view text) : path(*this / "list.CSV") { write_text(path, text); }
};

std::string shown(const PhotoSet& set) {
  std::string text;
  for (std::size_t i = 0; i < set.samples.size(); ++i) {
    const Sample& sample = set.samples[i];
    text += sample.name + "=" + set.classes[static_cast<std::size_t>(sample.label)];
    if (!set.validates.empty() && set.validates[i]) text += "*";
    text += " ";
  }
  return text;
}

TEST(CsvList, NamesAreSortedClasses) {
  const List list("b.jpg,rose\n\"a,1.jpg\",\"Daisy, wild\"\nsub/c.png,rose\n");
  const PhotoSet set = open_photo_set(list.path);
  EXPECT_EQ(shown(set), "a,1.jpg=Daisy, wild b.jpg=rose sub/c.png=rose ");
  EXPECT_EQ(set.classes, (Names{"Daisy, wild", "rose"}));
  EXPECT_FALSE(set.numbered);
  EXPECT_EQ(set.samples[2].file, (list / "sub/c.png"));
  EXPECT_TRUE(set.validates.empty());
}

TEST(CsvList, WholeNumbersAreNamesUntilAModelTakesThemAsIndices) {
  const List list("path,label\nb.jpg,10\n/a.jpg,0\nc.jpg,9\n");
  PhotoSet set = open_photo_set(list.path);
  EXPECT_TRUE(set.numbered);
  EXPECT_EQ(set.classes, (Names{"0", "9", "10"}));
  EXPECT_EQ(set.samples[0].file, "/a.jpg");
  PhotoSet adopted = set;
  adopt_classes(adopted, Names{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"}, {});
  EXPECT_EQ(adopted.samples[1].label, 10);
  ASSERT_EQ(adopted.notices.size(), 1u);
  EXPECT_NE(adopted.notices[0].find("by their numbers, \"0\" as \"a\""), std::string::npos);
  EXPECT_NE(error_of([&] {
              PhotoSet again = set;
              adopt_classes(again, Names{"x", "y", "z"}, {});
            }).find("class \"9\": expected a number below 3"),
            std::string::npos);
  take_numbers_as_indices(set, 11);
  EXPECT_EQ(set.samples[2].label, 9);
  EXPECT_EQ(set.classes.size(), 11u);
  const List mixed("b.jpg,2\na.jpg,rose\n");
  EXPECT_EQ(open_photo_set(mixed.path).classes, (Names{"2", "rose"}));
  const List huge("b.jpg,2000000000\n");
  EXPECT_EQ(open_photo_set(huge.path).classes, (Names{"2000000000"}));
}

TEST(CsvList, AThirdColumnSaysTheSide) {
  const List list("b.jpg,x,train\na.jpg,x,Val\nc.jpg,y,\nd.jpg,y\n");
  EXPECT_EQ(shown(open_photo_set(list.path)), "a.jpg=x* b.jpg=x c.jpg=y d.jpg=y ");
  const List named("Label,id,split,FileName\nx,7,test,a.jpg\ny,8,train,b.jpg\n");
  EXPECT_EQ(shown(open_photo_set(named.path)), "b.jpg=y ");
  const List wrong("b.jpg,x,train\na.jpg,x,maybe\n");
  EXPECT_NE(error_of([&] { open_photo_set(wrong.path); }).find("line 2: expected train, val or test in column 3"),
            std::string::npos);
  const List ignored("path,label,comment\nb.jpg,x,maybe\n");
  EXPECT_EQ(shown(open_photo_set(ignored.path)), "b.jpg=x ");
}

TEST(CsvList, RefusesWhatIsNoList) {
  const List empty("\n");
  const List header("path,label\n");
  const List narrow("a.jpg\n");
  const List unlabelled("a.jpg,\n");
  const List zero(std::string_view("a\0.jpg,x\n", 9));
  EXPECT_NE(error_of([&] { open_photo_set(empty.path); }).find("found none"), std::string::npos);
  EXPECT_NE(error_of([&] { open_photo_set(header.path); }).find("behind the header, found none"), std::string::npos);
  EXPECT_NE(error_of([&] { open_photo_set(narrow.path); }).find("line 1: expected a path and a label, found 1 columns"),
            std::string::npos);
  EXPECT_NE(error_of([&] { open_photo_set(unlabelled.path); }).find("found an empty one"), std::string::npos);
  EXPECT_NE(error_of([&] { open_photo_set(zero.path); }).find("zero byte"), std::string::npos);
  EXPECT_NE(error_of([&] { open_photo_set(empty / "none.csv"); }).find("found nothing"), std::string::npos);
}

}  // namespace
}  // namespace gcvit::data
