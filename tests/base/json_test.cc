// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "base/json_events.h"
#include "tests/testing/error_of.h"

namespace gcvit {
namespace {

using testing::error_of;

std::string refusal(const std::string& text, const JsonLimits& limits = {}) {
  return error_of([&] { parse_json(text, "area", "f.json", limits); });
}

/// What `use` says of the text's root.
std::string place_error(const std::string& text, const std::function<void(const JsonPlace&)>& use) {
  return error_of([&] { read_json(text, "area", "f.json", use); });
}

TEST(Json, ReadsWhatItsWriterMeant) {
  const nlohmann::json value = parse_json(R"({"b": [1, -2, 3.5, null, true], "a": {"c": "é"}})", "area", "f.json");
  EXPECT_EQ(value.dump(), R"({"a":{"c":"é"},"b":[1,-2,3.5,null,true]})");
  EXPECT_EQ(parse_ordered_json(R"({"b": [1, {"z": 1, "y": 2}], "a": 2})", "area", "f.json").dump(),
            R"({"b":[1,{"z":1,"y":2}],"a":2})");
  EXPECT_EQ(parse_json(" 7 ", "area", "f.json"), 7);
}

TEST(Json, OtherTextsAreRefusedByTheFilesName) {
  const std::string at = "[area] f.json: ";
  EXPECT_EQ(refusal(""), at + "not JSON in UTF-8 at byte 0");
  EXPECT_EQ(refusal("{\"a\":1"), at + "not JSON in UTF-8 at byte 6");
  EXPECT_EQ(refusal("{} x"), at + "not JSON in UTF-8 at byte 3");
  EXPECT_EQ(refusal("[\"\xff\"]"), at + "not JSON in UTF-8 at byte 2");
  EXPECT_EQ(refusal(std::string("[1\0]", 4)), at + "not JSON in UTF-8 at byte 2");
  EXPECT_EQ(refusal("[NaN]"), at + "not JSON in UTF-8 at byte 1");
  EXPECT_EQ(refusal("[1, 1e999]"), at + "byte 8: expected a number that a double holds, found 1e999");
  EXPECT_EQ(refusal(R"({"a": {"b": 1, "b": 2}})"), at + "the key \"b\" appears twice in one object");
  EXPECT_EQ(refusal(R"({"a": 1, "b": {"a": 1}})"), "no error");
  EXPECT_EQ(refusal("[" + std::string(500, '9') + "]").substr(0, at.size() + 9), at + "byte 500:");
}

TEST(Json, NeitherDepthNorSizeIsABomb) {
  EXPECT_EQ(refusal(std::string(1'000'000, '[')), "[area] f.json: nested deeper than 64");
  EXPECT_EQ(refusal(std::string(64, '[') + std::string(64, ']')), "no error");
  std::string objects;
  for (int i = 0; i < 1'000'000; ++i) objects += "{\"\":";
  EXPECT_EQ(refusal(objects), "[area] f.json: nested deeper than 64");
  EXPECT_EQ(refusal("[1,2,3]", {.values = 2}), "[area] f.json: expected at most 2 values, found more");
  EXPECT_EQ(refusal("[1,2,3]", {.bytes = 6}), "[area] f.json: expected at most 6 bytes, found 7");
  std::string keys = "{\"0\":0";
  for (int i = 1; i <= 1000; ++i) keys += ",\"" + std::to_string(i) + "\":0";
  EXPECT_EQ(error_of([&] { parse_ordered_json(keys + "}", "area", "f.json"); }),
            "[area] f.json: expected at most 1000 values, found more");
}

TEST(Json, AValueThatIsAnotherNamesItsPlace) {
  const std::string text = R"({"a": [1, "two", {"b": null}], "big": 5000000000, "f": 1.5, "wide": 1e300, "n": -1})";
  const auto error = [&](const std::function<void(const JsonPlace&)>& use) { return place_error(text, use); };
  EXPECT_EQ(error([](const JsonPlace& root) { root.key("c"); }), "[area] f.json: expected a key \"c\", found none");
  EXPECT_EQ(error([](const JsonPlace& root) { root.key("a").key("b"); }),
            "[area] f.json: a: expected an object, found an array of 3");
  EXPECT_EQ(error([](const JsonPlace& root) { root.key("a").element(2).key("b").text(); }),
            "[area] f.json: a[2]: b: expected a text, found null");
  EXPECT_EQ(error([](const JsonPlace& root) { root.key("a").element(3); }),
            "[area] f.json: a: expected an array of more than 3, found an array of 3");
  EXPECT_EQ(error([](const JsonPlace& root) { root.key("a").texts(); }),
            "[area] f.json: a[0]: expected a text, found 1");
  EXPECT_EQ(error([](const JsonPlace& root) { root.key("a").numbers_f32(); }),
            "[area] f.json: a[1]: expected a number, found \"two\"");
  EXPECT_EQ(error([](const JsonPlace& root) { root.key("a").expect_array(2); }),
            "[area] f.json: a: expected an array of 2, found an array of 3");
  EXPECT_EQ(error([](const JsonPlace& root) { root.key("f").boolean(); }),
            "[area] f.json: f: expected true or false, found 1.5");
  EXPECT_EQ(error([](const JsonPlace& root) { root.key("wide").number_f32(); }),
            "[area] f.json: wide: expected a number that a float holds, found 1e+300");
}

TEST(Json, IntegersAreNeverNarrowed) {
  const auto as = [](const std::string& text, auto zero) {
    decltype(zero) value = zero;
    const std::string error = place_error(text, [&](const JsonPlace& root) { root.get_to(value); });
    return error == "no error" ? std::to_string(value) : error.substr(error.find("expected"));
  };
  EXPECT_EQ(as("-2147483648", std::int32_t{}), "-2147483648");
  EXPECT_EQ(as("2147483648", std::int32_t{}), "expected an integer from -2147483648 to 2147483647, found 2147483648");
  EXPECT_EQ(as("-2147483649", std::int32_t{}), "expected an integer from -2147483648 to 2147483647, found -2147483649");
  EXPECT_EQ(as("9223372036854775807", std::int64_t{}), "9223372036854775807");
  EXPECT_EQ(as("9223372036854775808", std::int64_t{}),
            "expected an integer from -9223372036854775808 to 9223372036854775807, found 9223372036854775808");
  EXPECT_EQ(as("18446744073709551615", std::uint64_t{}), "18446744073709551615");
  EXPECT_EQ(as("-1", std::uint64_t{}), "expected an integer from 0 to 18446744073709551615, found -1");
  EXPECT_EQ(as("18446744073709551616", std::uint64_t{}), "expected an integer, found 1.8446744073709552e+19");
  EXPECT_EQ(as("8.0", std::int32_t{}), "expected an integer, found 8.0");
  EXPECT_EQ(as("true", std::int32_t{}), "expected an integer, found true");
}

TEST(Json, TheLibrarysOwnExceptionsBecomeErrors) {
  EXPECT_TRUE(place_error("[1]", [](const JsonPlace& root) {
                static_cast<void>(root.value().at("a"));
              }).starts_with("[area] f.json: "));
  EXPECT_TRUE(place_error("[1]", [](const JsonPlace& root) {
                static_cast<void>(root.value().get<bool>());
              }).starts_with("[area] f.json: "));
}

TEST(Json, ForeignTextIsShownPrintableAndShort) {
  const auto shown = [](const std::string& text) {
    return place_error(text, [](const JsonPlace& root) { root.boolean(); });
  };
  EXPECT_EQ(shown(R"("\u001b[31m\u202e")"), "[area] f.json: expected true or false, found \"\\u001b[31m\\u202e\"");
  EXPECT_LT(shown("\"" + std::string(100'000, 'a') + "\"").size(), 200u);
}

/// Counts containers.
class Counter : public JsonEvents {
 public:
  Counter() : JsonEvents("area", "f.json: header", 8) {}
  int opened = 0;
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(std::int64_t) override { return true; }
  bool number_unsigned(std::uint64_t) override { return true; }
  bool number_float(double, const std::string&) override { return true; }
  bool string(std::string&) override { return true; }
  bool key(std::string&) override { return true; }
  bool start_object(std::size_t) override { return ++opened > 0; }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return ++opened > 0; }
  bool end_array() override { return true; }
};

TEST(JsonEvents, CountBytesFromTheirOffset) {
  Counter counter;
  EXPECT_EQ(error_of([&] { read_json_events("{]", counter); }), "[area] f.json: header: not JSON in UTF-8 at byte 9");
  EXPECT_EQ(error_of([&] { read_json_events("[1e999]", counter); }),
            "[area] f.json: header: byte 13: expected a number that a double holds, found 1e999");
  counter.opened = 0;
  read_json_events(std::string(1'000'000, '[') + std::string(1'000'000, ']'), counter);
  EXPECT_EQ(counter.opened, 1'000'000);
}

TEST(Json, CutOrChangedItIsReadOrRefusedInASentence) {
  const std::string text = R"({"name": "é\u00e9", "size": 12, "list": [1.5e3, -7, null, true, {"k": []}]})";
  std::mt19937 random(1);
  for (int round = 0; round < 5'000; ++round) {
    std::string changed = text;
    for (unsigned changes = 1 + random() % 4; changes > 0; --changes) {
      changed[random() % changed.size()] = static_cast<char>(random());
    }
    if (random() % 4 == 0) changed.resize(random() % changed.size());
    const std::string sentence = refusal(changed);
    EXPECT_TRUE(sentence == "no error" || sentence.starts_with("[area] f.json: ")) << sentence;
  }
}

}  // namespace
}  // namespace gcvit
