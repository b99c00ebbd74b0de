// SPDX-License-Identifier: Apache-2.0
#include "formats/pickle.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>

#include "tests/formats/test_files.h"

namespace gcvit::formats {
namespace {

using namespace std::string_literals;
using Kind = PickleValue::Kind;

Pickle read(std::string_view text) { return read_pickle(text, 0, "x"); }

std::string refusal(std::string_view text) {
  return error_of([&] { read(text); });
}

TEST(Pickle, Numbers) {
  EXPECT_EQ(read("K\xff."s).root->integer(), 255);
  EXPECT_EQ(read("M\x01\x02."s).root->integer(), 513);
  EXPECT_EQ(read("J\xff\xff\xff\xff."s).root->integer(), -1);
  EXPECT_EQ(read("I-12\n.").root->integer(), -12);
  EXPECT_EQ(read("L12L\n.").root->integer(), 12);
  EXPECT_EQ(read("\x8a\x00."s).root->integer(), 0);
  EXPECT_EQ(read("\x8a\x02\x00\xff."s).root->integer(), -256);
  EXPECT_EQ(read("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f."s).root->integer(), INT64_MAX);
  EXPECT_EQ(read("\x8b\x01\x00\x00\x00\x05."s).root->integer(), 5);
  EXPECT_TRUE(read("\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01."s).root->is(Kind::kOther));
  EXPECT_TRUE(read("L99999999999999999999L\n.").root->is(Kind::kOther));
  EXPECT_TRUE(read("I01\n.").root->is(Kind::kBool));
  EXPECT_EQ(read("\x88.").root->integer(), 1);
}

TEST(Pickle, ContainersAreFilledInTheirOrder) {
  const Pickle pickle = read(
      "}(U\x01"
      "aK\x01U\x01"
      "b]K\x02"
      "a(K\x03K\x04"
      "eu.");
  const PickleValue::Items& items = pickle.root->items();
  ASSERT_EQ(items.size(), 4u);
  EXPECT_EQ(items[0]->text(), "a");
  EXPECT_EQ(items[1]->integer(), 1);
  EXPECT_EQ(items[3]->items().size(), 3u);
  EXPECT_EQ(items[3]->items()[2]->integer(), 4);
}

TEST(Pickle, ClassesBecomeOpaqueAndNoFunctionIsCalled) {
  const Pickle object = read(
      "cmy.package\nOptions\n)\x81}U\x01"
      "aK\x01sb.");
  ASSERT_TRUE(object.root->is(Kind::kObject));
  EXPECT_EQ(object.root->items()[0]->full_name(), "my.package.Options");
  EXPECT_TRUE(read("ccollections\nOrderedDict\n)R.").root->is(Kind::kDict));
  EXPECT_TRUE(read("cnumpy._core.multiarray\nscalar\n)R.").root->is(Kind::kCall));
  EXPECT_TRUE(read("cos\nsystem\n.").root->is(Kind::kGlobal));
  EXPECT_EQ(refusal("cos\nsystem\n)R."),
            "[pickle] x: byte 12: expected plain data, found a call of \"os.system\", which would run code in Python");
  EXPECT_EQ(refusal("\x8c\x02os\x8c\x06system\x93)R."),
            "[pickle] x: byte 14: expected plain data, found a call of \"os.system\", which would run code in Python");
  EXPECT_EQ(refusal("ctorch.storage\n_load_from_bytes\n(C\x01xtR."),
            "[pickle] x: byte 37: expected plain data, found a call of \"torch.storage._load_from_bytes\", which would "
            "run code in Python");
  EXPECT_EQ(refusal("K\x01)R."), "[pickle] x: byte 3: expected a call of a global, found one of an integer");
  EXPECT_EQ(refusal("ctorch\nSize\nNR."), "[pickle] x: byte 13: expected a tuple of arguments, found some other value");
  EXPECT_EQ(refusal("(K\x01i"), "[pickle] x: byte 3: expected an instruction that builds data, found \"i\" (0x69)");
  EXPECT_EQ(refusal("(cos\nsystem\no."),
            "[pickle] x: byte 12: expected an instruction that builds data, found \"o\" (0x6f)");
}

TEST(Pickle, RefusesWhatDoesNotFitTheStack) {
  EXPECT_EQ(refusal("."), "[pickle] x: byte 0: expected a value on the stack, found none");
  EXPECT_EQ(refusal("N"), "[pickle] x: byte 1: expected 1 byte at byte 1, file ends at 1");
  EXPECT_EQ(refusal("\x86."), "[pickle] x: byte 0: expected 2 values on the stack, found fewer");
  EXPECT_EQ(refusal("N(\x85."), "[pickle] x: byte 2: expected 1 values on the stack, found fewer");
  EXPECT_EQ(refusal("Nt."), "[pickle] x: byte 1: expected a mark on the stack, found none");
  EXPECT_EQ(refusal("(Nd."), "[pickle] x: byte 2: expected keys with values, found 1 of both");
  EXPECT_EQ(refusal("h\x05."), "[pickle] x: byte 0: expected a value under number 5, found none");
  EXPECT_EQ(refusal("NN\x93."),
            "[pickle] x: byte 2: expected texts as a global's module and name, found some other value and some other "
            "value");
}

TEST(Pickle, ClaimedSizesAllocateNothing) {
  EXPECT_EQ(refusal("\x8d\xff\xff\xff\xff\xff\xff\xff\x7f."s),
            "[pickle] x: byte 0: expected 9223372036854775807 bytes at byte 9, file ends at 10");
  EXPECT_EQ(refusal("\x8b\xff\xff\xff\x7f."s),
            "[pickle] x: byte 0: expected 2147483647 bytes at byte 5, file ends at 6");
  EXPECT_EQ(refusal("\x8b\xff\xff\xff\xff."s), "[pickle] x: byte 0: expected a length, found -1");
  EXPECT_TRUE(read("Nr\xff\xff\xff\xff."s).root->is(Kind::kOther));  // a high memo number is no array index
}

TEST(Pickle, BombsEndAtTheLimitOfInstructions) {
  EXPECT_EQ(refusal(std::string(kMaximalPickleInstructions + 1, 'N')),
            "[pickle] x: byte 524288: more than 524288 instructions in the file's pickles");
  // Lists of themselves twice, again and again: 2^n elements for whoever walks them, n values here.
  std::string doubling = "]";
  for (int i = 0; i < 100; ++i)
    doubling +=
        "q\x01"
        "0]h\x01"
        "ah\x01"
        "a";
  EXPECT_EQ(read(doubling + ".").values.size(), 101u);
  const Pickle circle = read(
      "]q\x01h\x01"
      "a.");
  EXPECT_EQ(circle.root->items()[0], circle.root);
}

double seconds_of(const std::function<void()>& run) {
  const auto begin = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Followed from each of their links to the end, these chains take minutes.
constexpr int kChain = 40'000;
constexpr double kSeconds = 10.0;

TEST(Pickle, AParameterIsTheCallOfItsTensorHoweverOftenItIsWrapped) {
  // 1: a tensor's call; 2: _rebuild_parameter.
  std::string text =
      "ctorch._utils\n_rebuild_tensor_v2\n)Rq\x01"
      "0ctorch._utils\n_rebuild_parameter\nq\x02"
      "0h\x01";
  for (int i = 0; i < kChain; ++i)
    text +=
        "\x85q\x03"
        "0h\x02h\x03R";
  Pickle pickle;
  text += ".";  // which the values view
  EXPECT_LT(seconds_of([&] { pickle = read(text); }), kSeconds);
  ASSERT_TRUE(pickle.root->is(Kind::kCall));
  EXPECT_EQ(pickle.root->items()[0]->name(), "_rebuild_tensor_v2");
  EXPECT_TRUE(pickle.root->items()[1]->items().empty());
  // Around something that is no call it stays what it is.
  EXPECT_EQ(read("ctorch._utils\n_rebuild_parameter\nN\x85R.").root->items()[0]->name(), "_rebuild_parameter");
}

TEST(Pickle, CallsThatPassOnAreFollowedOnce) {
  // 1: _rebuild_from_type_v2; 2: its arguments so far, (function, type, arguments).
  std::string text =
      "ctorch._tensor\n_rebuild_from_type_v2\nq\x01"
      "0(ctorch\nSize\nN)tq\x02"
      "0]";
  for (int i = 0; i < kChain; ++i) {
    text +=
        "h\x01Nh\x02\x87q\x02"  // (_rebuild_from_type_v2, None, what was there)
        "0h\x01h\x02R0";
  }
  Pickle pickle;
  text += "h\x01h\x02R.";
  EXPECT_LT(seconds_of([&] { pickle = read(text); }), kSeconds);
  ASSERT_TRUE(pickle.root->is(Kind::kCall));
  EXPECT_EQ(pickle.root->items()[0]->name(), "Size");
  // A call that isn't data is refused at any depth.
  EXPECT_NE(refusal("ctorch._tensor\n_rebuild_from_type_v2\n(cos\nsystem\nN)tR.").find("\"os.system\""),
            std::string::npos);
}

TEST(Pickle, BeginsAndEndsWhereTheTextSays) {
  const Pickle pickle = read_pickle("....\x80\x02K\x07.rest", 4, "x");
  EXPECT_EQ(pickle.root->integer(), 7);
  EXPECT_EQ(pickle.end, 9u);
  EXPECT_EQ(refusal("\x80\x06N."), "[pickle] x: byte 0: expected protocol 1 to 5, found 6");
}

}  // namespace
}  // namespace gcvit::formats
