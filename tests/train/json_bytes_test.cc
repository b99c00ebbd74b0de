// SPDX-License-Identifier: Apache-2.0
#include "train/json_bytes.h"

#include <gtest/gtest.h>

#include <string>

#include "gcvit/error.h"

namespace gcvit::train {
namespace {

TEST(JsonBytes, AnyTextComesBack) {
  for (const std::string& text : {std::string(), std::string("roses/1.jpg"), std::string("\xc3\xa4"),
                                  std::string("f\xff\x00\xfe", 4), std::string("\xed\xa0\x80"), std::string("\xc3")}) {
    const std::string written = text_to_json(text).dump();
    const nlohmann::json value = nlohmann::json::parse(written);
    EXPECT_EQ(text_from_json(JsonPlace(value, "checkpoint", "f")), text) << written;
  }
  EXPECT_EQ(text_to_json("roses").dump(), "\"roses\"");
  EXPECT_EQ(text_to_json("f\xff").dump(), "{\"bytes\":\"66ff\"}");
}

TEST(JsonBytes, OtherValuesAreRefused) {
  for (const char* text :
       {"3", "{}", "{\"bytes\": 3}", "{\"bytes\": \"f\"}", "{\"bytes\": \"fg\"}", "{\"bytes\": \"6 \"}"}) {
    const nlohmann::json value = nlohmann::json::parse(text);
    EXPECT_THROW((void)text_from_json(JsonPlace(value, "checkpoint", "f")), Error) << text;
  }
}

}  // namespace
}  // namespace gcvit::train
