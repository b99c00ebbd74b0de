// SPDX-License-Identifier: Apache-2.0
#include "data/csv.h"

#include <gtest/gtest.h>

#include "data/image_set.h"
#include "tests/data/files.h"

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

TEST(CsvList, AColumnMaySayWhatValidates) {
  const List list("image,label,is_valid\na.jpg,x,False\nb.jpg,x,True\nc.jpg,y,0\nd.jpg,y,1\ne.jpg,y,\n");
  const ImageSet set = open_image_set(list.path);
  EXPECT_EQ(set.validates, (std::vector<bool>{false, true, false, true, false}));
  const List odd("image,label,is_valid\na.jpg,x,maybe\n");
  EXPECT_NE(
      error_of([&] { open_image_set(odd.path); }).find("line 2: expected true or false in column 3, found \"maybe\""),
      std::string::npos);
}

TEST(CsvList, NamesAreSortedClasses) {
  const List list("b.jpg,rose\n\"a,1.jpg\",\"Daisy, wild\"\nsub/c.png,rose\n");
  const ImageSet set = open_image_set(list.path);
  EXPECT_EQ(shown_names(set), "a,1.jpg=Daisy, wild b.jpg=rose sub/c.png=rose ");
  EXPECT_EQ(set.classes, (Names{"Daisy, wild", "rose"}));
  EXPECT_FALSE(set.numbered);
  EXPECT_EQ(set.samples[2].file, (list / "sub/c.png"));
  EXPECT_TRUE(set.validates.empty());
}

TEST(CsvList, WholeNumbersAreNamesUntilAModelTakesThemAsIndices) {
  const List list("path,label\nb.jpg,10\n/a.jpg,0\nc.jpg,9\n");
  ImageSet set = open_image_set(list.path);
  EXPECT_TRUE(set.numbered);
  EXPECT_EQ(set.classes, (Names{"0", "9", "10"}));
  EXPECT_EQ(set.samples[0].file, "/a.jpg");
  ImageSet adopted = set;
  remap_labels(adopted, Names{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"}, {});
  EXPECT_EQ(adopted.samples[1].label, 10);
  ASSERT_EQ(adopted.notices.size(), 1u);
  EXPECT_NE(adopted.notices[0].find("by their numbers, \"0\" as \"a\""), std::string::npos);
  EXPECT_NE(error_of([&] {
              ImageSet again = set;
              remap_labels(again, Names{"x", "y", "z"}, {});
            }).find("class \"9\": expected a number below 3"),
            std::string::npos);
  take_numbers_as_indices(set, 11);
  EXPECT_EQ(set.samples[2].label, 9);
  EXPECT_EQ(set.classes.size(), 11u);
  const List mixed("b.jpg,2\na.jpg,rose\n");
  EXPECT_EQ(open_image_set(mixed.path).classes, (Names{"2", "rose"}));
  const List huge("b.jpg,2000000000\n");
  EXPECT_EQ(open_image_set(huge.path).classes, (Names{"2000000000"}));
}

TEST(CsvList, AThirdColumnSaysTheSide) {
  const List list("b.jpg,x,train\na.jpg,x,Val\nc.jpg,y,\nd.jpg,y\n");
  EXPECT_EQ(shown_names(open_image_set(list.path)), "a.jpg=x* b.jpg=x c.jpg=y d.jpg=y ");
  const List named("Label,id,split,FileName\nx,7,test,a.jpg\ny,8,train,b.jpg\n");
  EXPECT_EQ(shown_names(open_image_set(named.path)), "b.jpg=y ");
  const List wrong("b.jpg,x,train\na.jpg,x,maybe\n");
  EXPECT_NE(error_of([&] { open_image_set(wrong.path); }).find("line 2: expected train, val or test in column 3"),
            std::string::npos);
  const List ignored("path,label,comment\nb.jpg,x,maybe\n");
  EXPECT_EQ(shown_names(open_image_set(ignored.path)), "b.jpg=x ");
}

TEST(Csv, OtherSeparators) {
  EXPECT_EQ(separator_of("a;b,c", "x.csv"), ',');
  EXPECT_EQ(separator_of("\n\r\na;b\nc,d", "x.csv"), ';');
  EXPECT_EQ(separator_of("a\tb;", "x.csv"), ';');
  EXPECT_EQ(separator_of("a\tb", "x.csv"), '\t');
  EXPECT_EQ(separator_of("\"a,b\";c", "x.csv"), ';');
  EXPECT_EQ(separator_of("a", "x.csv"), ',');
  EXPECT_EQ(separator_of("a,b", "x.TSV"), '\t');
  EXPECT_EQ(parse_csv("a,1\t\"b\tc\"\r\n", "x.tsv", '\t')[0].fields, (Names{"a,1", "b\tc"}));
  EXPECT_NE(error_of([] { parse_csv("\"a\"b", "x", '\t'); }).find("expected a tab behind"), std::string::npos);
}

TEST(Csv, WhatIsWrittenIsReadAgain) {
  std::uint64_t state = 1;
  const auto below = [&](std::uint64_t bound) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % bound;
  };
  constexpr std::string_view kLetters = "ab,;\t\"\n\r ";
  for (int run = 0; run < 300; ++run) {
    const char separator = ",;\t"[below(3)];
    std::vector<Names> table;
    std::string text;
    for (std::uint64_t rows = 1 + below(4); rows > 0; --rows) {
      Names row;
      for (std::uint64_t columns = 2 + below(3); columns > 0; --columns) {
        std::string field;
        for (std::uint64_t letters = below(5); letters > 0; --letters) field += kLetters[below(kLetters.size())];
        text += row.empty() ? "" : std::string(1, separator);
        std::string quoted = "\"";
        for (const char letter : field) quoted += letter == '"' ? "\"\"" : std::string(1, letter);
        text += quoted + "\"";
        row.push_back(std::move(field));
      }
      text += below(2) == 0 ? "\n" : "\r\n";
      table.push_back(std::move(row));
    }
    const std::vector<CsvRecord> records = parse_csv(text, "x.csv", separator);
    ASSERT_EQ(records.size(), table.size());
    for (std::size_t i = 0; i < table.size(); ++i) EXPECT_EQ(records[i].fields, table[i]) << text;
  }
}

TEST(CsvList, OtherSeparatorsAndMarks) {
  const Files files;
  files.add("a.tsv", "\xef\xbb\xbfp/a,1.jpg\t daisy\nb.jpg\troses\r\n");
  EXPECT_EQ(shown_names(open_image_set(files / "a.tsv")), "b.jpg=roses p/a,1.jpg=daisy ");
  files.add("b.csv",
            "\xef\xbb\xbf"
            "Path;Label\na.jpg;x\n");
  EXPECT_EQ(shown_names(open_image_set(files / "b.csv")), "a.jpg=x ");
  files.add("c.csv", std::string_view("\xff\xfe"
                                      "a\0",
                                      4));
  EXPECT_NE(error_of([&] { open_image_set(files / "c.csv"); }).find("found UTF-16 text (save it as UTF-8)"),
            std::string::npos);
  files.add("d.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n");
  EXPECT_NE(error_of([&] { open_image_set(files / "d.csv"); }).find("found a Git LFS pointer"), std::string::npos);
}

TEST(CsvList, AHeaderIsKnownByItsWords) {
  for (const char* const header : {"image_id,label", "path,species", "Image ID , Breed", "img;cls", "filename,y",
                                   "id,label_id", "FilePaths,labels,data set", "x,image,target,id"}) {
    const Files files;
    const std::string text = header;
    const char separator = text.find(';') != std::string::npos ? ';' : ',';
    std::string row = text.starts_with("x,") ? "z,a.jpg,0,7" : "a.jpg,0";
    if (separator == ';') row = "a.jpg;0";
    files.add("x.csv", text + "\n" + row + "\n");
    EXPECT_EQ(shown_names(open_image_set(files / "x.csv")), "a.jpg=0 ") << header;
  }
  const Files files;
  files.add("splits.csv", "filepaths,labels,data set\na.jpg,x,train\nb.jpg,x,test\n");
  EXPECT_EQ(shown_names(open_image_set(files / "splits.csv")), "a.jpg=x ");
  // A class may be called like a column.
  files.add("row.csv", "a.jpg,label\nb.jpg,class\n");
  EXPECT_EQ(shown_names(open_image_set(files / "row.csv")), "a.jpg=label b.jpg=class ");
  // Where there are several, the path is before the id, and the name before the number.
  files.add("many.csv", "id,class_id,label,path\n1,5,x,a.jpg\n");
  EXPECT_EQ(shown_names(open_image_set(files / "many.csv")), "a.jpg=x ");
}

TEST(CsvList, ColumnsThatAreNotUsedAreSaid) {
  const List list(",path,label,fold\n0,a.jpg,x,3\n1,b.jpg,y,4\n");
  const ImageSet set = open_image_set(list.path);
  ASSERT_EQ(set.notices.size(), 1u);
  EXPECT_EQ(set.notices[0], list.path +
                                ": photos are taken from the column \"path\" and classes from \"label\"; not "
                                "used: \"fold\"");
  EXPECT_TRUE(open_image_set(List(",label,path,split\n0,x,a.jpg,val\n").path).notices.empty());
}

TEST(CsvList, SomeColumnsAreASidesWhereTheySayOne) {
  const List other("image,dx,dataset\na.jpg,x,vidir\nb.jpg,y,rosendahl\n");
  const ImageSet set = open_image_set(other.path);
  EXPECT_EQ(shown_names(set), "a.jpg=x b.jpg=y ");
  ASSERT_EQ(set.notices.size(), 1u);
  EXPECT_TRUE(set.notices[0].ends_with("not used: \"dataset\"")) << set.notices[0];
  const List one("image,dx,dataset,split\na.jpg,x,train,val\nb.jpg,y,val,train\n");
  EXPECT_EQ(shown_names(open_image_set(one.path)), "a.jpg=x* b.jpg=y ");
  const List mixed("image,dx,dataset\na.jpg,x,train\nb.jpg,y,rosendahl\n");
  EXPECT_NE(error_of([&] { open_image_set(mixed.path); }).find("expected train, val or test in column 3"),
            std::string::npos);
  const List split("image,dx,split\na.jpg,x,trn\nb.jpg,y,dev\n");
  EXPECT_NE(error_of([&] { open_image_set(split.path); }).find("expected train, val or test in column 3"),
            std::string::npos);
}

TEST(CsvList, ARepeatedHeaderIsNoRow) {
  const List list("path,label\na.jpg,x\npath,label\nb.jpg,y\n");
  const ImageSet set = open_image_set(list.path);
  EXPECT_EQ(shown_names(set), "a.jpg=x b.jpg=y ");
  ASSERT_EQ(set.left_out.size(), 1u);
  EXPECT_TRUE(describe(set.left_out[0]).ends_with(" that repeat the header") ||
              describe(set.left_out[0]).ends_with(" that repeats the header"))
      << describe(set.left_out[0]);
  const List mac("path,label\ra.jpg,x\rb.jpg,y\r");
  EXPECT_NE(error_of([&] { open_image_set(mac.path); }).find("found CR alone"), std::string::npos);
}

TEST(CsvList, AImageNamedFromTheRootIsTheSame) {
  const TemporaryFolder files;
  write_text(files / "x.csv", "a.jpg,x\n" + (files / "a.jpg") + ",y\n");
  EXPECT_NE(error_of([&] { open_image_set(files / "x.csv"); }).find("expected one class for a photo"),
            std::string::npos);
}

TEST(CsvList, AnUnknownHeaderIsRefusedByName) {
  const auto refusal = [](const std::string& text) {
    const Files files;
    files.add("x.csv", text);
    return error_of([&] { open_image_set(files / "x.csv"); });
  };
  std::string error = refusal("path,gattung\na.jpg,x\n");
  EXPECT_NE(error.find("line 1: expected a header that names the column of the class (label, labels, class,"),
            std::string::npos)
      << error;
  EXPECT_NE(error.find("found \"path\", \"gattung\""), std::string::npos) << error;
  error = refusal("bild,label\na.jpg,x\n");
  EXPECT_NE(error.find("the column of the photo (path, filepath,"), std::string::npos) << error;
  error = refusal("bild,gattung\na.jpg,x\n");
  EXPECT_NE(error.find("found \"bild\", \"gattung\""), std::string::npos) << error;
}

TEST(CsvList, BlanksAreTrimmed) {
  const List list("a.jpg, daisy\n b.jpg ,\t\"daisy \" \n c.jpg,roses , val \n");
  EXPECT_NE(error_of([&] { open_image_set(list.path); }), "");  // a quote behind a blank
  const List good("a.jpg, daisy\n b.jpg ,\"daisy \"\n c.jpg,roses , val \n");
  EXPECT_EQ(shown_names(open_image_set(good.path)), "a.jpg=daisy b.jpg=daisy c.jpg=roses* ");
  const List twice("a.jpg,Daisy\nb.jpg,daisy\n");
  EXPECT_NE(error_of([&] { open_image_set(twice.path); }).find("found \"Daisy\" and \"daisy\""), std::string::npos);
}

TEST(CsvList, AImageHasOneLineOrTheSameOnes) {
  const List conflict("a/1.jpg,x\nb.jpg,y\n./a/../a/1.jpg,y\n");
  EXPECT_NE(error_of([&] {
              open_image_set(conflict.path);
            }).find("\"a/1.jpg\": expected one class for a photo, found \"x\" in line 1 and \"y\" in line 3"),
            std::string::npos);
  const List splits("a.jpg,x,train\na.jpg,x,val\n");
  EXPECT_NE(error_of([&] { open_image_set(splits.path); }).find("found train in line 1 and validation in line 2"),
            std::string::npos);
  const List repeated("a.jpg,x\nb.jpg,y\n./a.jpg,x\na.jpg, x\n");
  const ImageSet set = open_image_set(repeated.path);
  EXPECT_EQ(shown_names(set), "a.jpg=x b.jpg=y ");
  ASSERT_EQ(set.left_out.size(), 1u);
  EXPECT_EQ(describe(set.left_out[0]), "2 lines that repeat a photo, such as ./a.jpg");
}

TEST(CsvList, PicturesOfOtherKindsAreCounted) {
  const List list("a.bmp,x\nb.jpg,x\nc.GIF,y\nd.png,y\n");
  const ImageSet set = open_image_set(list.path);
  EXPECT_EQ(shown_names(set), "b.jpg=x d.png=y ");
  ASSERT_EQ(set.left_out.size(), 1u);
  EXPECT_EQ(describe(set.left_out[0]), "2 photos of other kinds (.bmp 1, .gif 1), such as a.bmp");
  const List none("a.bmp,x\n");
  EXPECT_NE(error_of([&] { open_image_set(none.path); }).find("found 1 photo of other kinds (.bmp 1)"),
            std::string::npos);
}

TEST(CsvList, IdsStandForTheImagesOfTheirNames) {
  const Files files(
      {"1a2b.jpg", "train/3c.jpeg", "train/deep/4d.png", "two.jpg", "two.png", "x/five.jpg", "y/five.jpg", "blob"});
  files.add("list.csv", "id,breed\n1a2b,x\n3c,y\n4d,x\ntrain/3c,y\nblob,x\n");
  const ImageSet set = open_image_set(files / "list.csv");
  EXPECT_EQ(shown_names(set), "1a2b.jpg=x blob=x train/3c.jpeg=y train/deep/4d.png=x ");
  EXPECT_EQ(set.left_out.size(), 1u);
  files.add("rows.csv", "3c,y\n4d,label\n");
  EXPECT_EQ(shown_names(open_image_set(files / "rows.csv")), "train/3c.jpeg=y train/deep/4d.png=label ");
  files.add("two.csv", "id,breed\ntwo,x\n");
  EXPECT_NE(error_of([&] {
              open_image_set(files / "two.csv");
            }).find("\"two\": expected one photo of that name, found two.jpg and two.png"),
            std::string::npos);
  files.add("five.csv", "id,breed\nfive,x\n");
  EXPECT_NE(error_of([&] { open_image_set(files / "five.csv"); }).find("found x/five.jpg and y/five.jpg"),
            std::string::npos);
  files.add("none.csv", "id,breed\nnone,x\n");
  EXPECT_NE(error_of([&] {
              open_image_set(files / "none.csv");
            }).find("line 2: expected the path of a photo, found \"none\""),
            std::string::npos);
}

TEST(CsvList, RefusesWhatIsNoList) {
  const List empty("\n");
  const List nothing("");
  EXPECT_NE(error_of([&] { open_image_set(nothing.path); }).find("found an empty file"), std::string::npos);
  const List header("path,label\n");
  const List narrow("a.jpg\n");
  const List unlabelled("a.jpg,\n");
  const List zero(std::string_view("a\0.jpg,x\n", 9));
  EXPECT_NE(error_of([&] { open_image_set(empty.path); }).find("found none"), std::string::npos);
  EXPECT_NE(error_of([&] { open_image_set(header.path); }).find("behind the header, found none"), std::string::npos);
  EXPECT_NE(error_of([&] { open_image_set(narrow.path); }).find("line 1: expected a path and a label, found 1 column"),
            std::string::npos);
  EXPECT_NE(error_of([&] { open_image_set(unlabelled.path); }).find("found an empty one"), std::string::npos);
  EXPECT_NE(error_of([&] { open_image_set(zero.path); }).find("zero byte"), std::string::npos);
  const List zero_label(std::string_view("a.jpg,r\0s\n", 10));
  EXPECT_NE(error_of([&] { open_image_set(zero_label.path); }).find("zero byte"), std::string::npos);
  EXPECT_NE(error_of([&] { open_image_set(empty / "none.csv"); }).find("found nothing"), std::string::npos);
}

}  // namespace
}  // namespace gcvit::data
