// SPDX-License-Identifier: Apache-2.0
// How the names of a set's classes meet those of a model.
#include <gtest/gtest.h>

#include "data/image_set.h"
#include "tests/data/files.h"

namespace gcvit::data {
namespace {

using weights::error_of;
using Names = std::vector<std::string>;

const Names kModel = {"daisy", "dandelion", "roses", "sunflowers", "tulips"};

/// The labels of a photo in each of these folders, in the order of paths.
std::vector<std::int32_t> labels(const Names& folders, const Names& classes = kModel, bool by_index = false) {
  Files files;
  for (const std::string& folder : folders) files.add(folder + "/1.jpg");
  ImageSet set = open_image_set(files.root());
  remap_labels(set, classes, {}, by_index);
  std::vector<std::int32_t> found;
  for (const Sample& sample : set.samples) found.push_back(sample.label);
  return found;
}

using Labels = std::vector<std::int32_t>;

TEST(ClassNames, NumbersAreIndicesWhereNoNameMatches) {
  EXPECT_EQ(labels({"0", "2", "4"}), (Labels{0, 2, 4}));
  EXPECT_EQ(labels({"1", "3"}), (Labels{1, 3}));
  EXPECT_EQ(labels({"000", "002", "004"}), (Labels{0, 2, 4}));
  Names eleven;
  for (int i = 0; i < 11; ++i) eleven.push_back("class" + std::to_string(i));
  EXPECT_EQ(labels({"0", "10", "9"}, eleven), (Labels{0, 10, 9}));
  // The model's names win.
  EXPECT_EQ(labels({"0", "1"}, {"1", "0"}), (Labels{1, 0}));
  EXPECT_EQ(labels({"1", "2", "3"}, {"1", "2", "3"}), (Labels{0, 1, 2}));
}

TEST(ClassNames, NumbersAreNamesWhereTheModelsAreNumbers) {
  EXPECT_EQ(labels({"01", "02"}, {"1", "2", "3"}), (Labels{0, 1}));
  EXPECT_EQ(labels({"01", "02", "10"}, {"1", "2", "10"}), (Labels{0, 1, 2}));
  EXPECT_EQ(labels({"5"}, {"005", "007"}), (Labels{0}));
  EXPECT_TRUE(has(error_of([] { labels({"0"}, {"1", "2", "3"}); }),
                  "class \"0\": expected a class of the model, such as \"1\", found a match for none of 1 class"));
  EXPECT_TRUE(has(error_of([] { labels({"0", "1", "2"}, {"1", "2", "3"}); }), "class \"0\": expected a class of the"));
  EXPECT_EQ(labels({"0", "1", "2"}, {"1", "2", "3"}, true), (Labels{0, 1, 2}));
}

TEST(ClassNames, NumbersThatCantBeIndicesAreRefused) {
  EXPECT_TRUE(has(
      error_of([] { labels({"1", "2", "3", "4", "5"}); }),
      "expected classes numbered from 0 to 4, as the model's 5 are, found 1 to 5; gcvit eval --by-index takes them by "
      "their order"));
  EXPECT_TRUE(has(error_of([] { labels({"2", "5"}); }), "found 2 to 5"));
  EXPECT_TRUE(has(error_of([] { labels({"0", "5"}); }), "class \"5\": expected a number below 5"));
  EXPECT_TRUE(has(error_of([] { labels({"0", "99999999999999999999"}); }), "found a match for none"));
  EXPECT_TRUE(has(error_of([] { labels({"00", "1"}); }), "found a match for none"));
  EXPECT_TRUE(has(error_of([] { labels({"0", "1", "rest"}); }), "found a match for none"));
  EXPECT_TRUE(
      has(error_of([] { labels({"0", "daisy"}); }), "class \"0\": expected a class of the model, as another is"));
}

TEST(ClassNames, ByIndexTakesTheirOrder) {
  EXPECT_EQ(labels({"1", "2", "3", "4", "5"}, kModel, true), (Labels{0, 1, 2, 3, 4}));
  EXPECT_EQ(labels({"0", "2", "4"}, kModel, true), (Labels{0, 1, 2}));
  EXPECT_EQ(labels({"1", "10", "9"}, kModel, true), (Labels{0, 2, 1}));  // by path: 1, 10, 9
  EXPECT_EQ(labels({"a", "daisy"}, kModel, true), (Labels{0, 1}));
  EXPECT_EQ(labels({"roses", "tulips"}, kModel, true), (Labels{2, 4}));  // names win
  EXPECT_TRUE(
      has(error_of([] { labels({"a", "b", "c", "d", "e", "f"}, kModel, true); }), "expected at most 5 classes"));
}

TEST(ClassNames, TwoThatAreOneOfTheModelsAreRefused) {
  const Files files({"egyptian cat/1.jpg", "n02124075/1.jpg"});
  ImageSet set = open_image_set(files.root());
  EXPECT_TRUE(has(error_of([&] { remap_labels(set, Names{"Egyptian cat", "x"}, Names{"n02124075", "n1"}); }),
                  "\"egyptian cat\" and \"n02124075\" both are \"Egyptian cat\""));
}

TEST(ClassNames, WholeNumbersAreSortedByValue) {
  const Files files({"10/1.jpg", "9/1.jpg", "0/1.jpg"});
  const ImageSet set = open_image_set(files.root());
  EXPECT_TRUE(set.numbered);
  EXPECT_EQ(set.classes, (Names{"0", "9", "10"}));
  EXPECT_EQ(shown(set), "0/1.jpg=0 10/1.jpg=2 9/1.jpg=1 ");
  EXPECT_EQ(open_image_set(Files({"10/1.jpg", "9/1.jpg", "x/1.jpg"}).root()).classes, (Names{"10", "9", "x"}));
}

TEST(ClassNames, NumbersBecomeIndicesOnDemand) {
  const Files files({"2/1.jpg", "0/1.jpg"});
  ImageSet set = open_image_set(files.root());
  take_numbers_as_indices(set, 4);
  EXPECT_EQ(set.classes, (Names{"0", "1", "2", "3"}));
  EXPECT_EQ(set.present, (Labels{0, 2}));
  EXPECT_EQ(shown(set), "0/1.jpg=0 2/1.jpg=2 ");
  ImageSet named = open_image_set(Files({"a/1.jpg"}).root());
  EXPECT_TRUE(has(error_of([&] { take_numbers_as_indices(named, 4); }), "expected classes named by whole numbers"));
}

TEST(ClassNames, ThatDifferByCaseOrBlanksAloneAreRefused) {
  for (const Names& folders :
       {Names{"Daisy", "daisy"}, Names{"daisy", "daisy "}, Names{"wild rose", "wildrose"}, Names{"AZ", "a\xc2\xa0z"}}) {
    const std::string error = error_of([&] { labels(folders); });
    EXPECT_TRUE(has(error, "expected classes whose names differ by more than case and blanks")) << error;
    EXPECT_TRUE(has(error, "\"" + folders[0] + "\" and \"" + folders[1] + "\"")) << error;
  }
  EXPECT_TRUE(has(error_of([] { labels({"red rose", "red_rose"}); }),
                  "by more than case and _ for a blank, found \"red rose\" and \"red_rose\""));
  EXPECT_EQ(open_image_set(Files({"a_b/1.jpg", "ab/2.jpg"}).root()).classes.size(), 2u);
  const Files splits({"train/Daisy/1.jpg", "val/daisy/1.jpg"});
  EXPECT_TRUE(has(error_of([&] { open_image_set(splits.root()); }), "found \"Daisy\" and \"daisy\""));
}

}  // namespace
}  // namespace gcvit::data
