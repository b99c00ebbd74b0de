// SPDX-License-Identifier: Apache-2.0
#include "report/html.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/report/markup.h"

namespace gcvit::report {
namespace {

TEST(Html, NamesCannotBecomeMarkup) {
  EXPECT_EQ(escaped("roses/12.jpg"), "roses/12.jpg");
  EXPECT_EQ(escaped("<script>alert('1')</script>&\""), "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;");
  EXPECT_EQ(escaped("tulipán 花 🌷"), "tulipán 花 🌷");
  EXPECT_EQ(escaped(std::string_view("a\0b\x1b[2J\x7f\t\n", 10)), "a\\x00b\\x1b[2J\\x7f\\x09\\x0a");
  EXPECT_EQ(escaped("\u202e<"), "\\u202e&lt;");
}

TEST(Html, AnyBytesAreSafeBetweenTagsAndInQuotes) {
  std::mt19937 random(3);
  for (int round = 0; round < 5000; ++round) {
    std::string bytes(random() % 20, '\0');
    for (char& byte : bytes) {
      byte = random() % 2 == 0 ? static_cast<char>(random()) : "<>&\"'/= \xe8\xc0"[random() % 10];
    }
    const std::string safe = escaped(bytes);
    EXPECT_EQ(testing::complaint_about_markup("<p title=\"" + safe + "\">" + safe + "</p>"), "");
    EXPECT_EQ(safe.find('\0'), std::string::npos);
  }
}

TEST(Html, BytesBecomeDataUris) {
  EXPECT_EQ(data_uri("image/png", ""), "data:image/png;base64,");
  EXPECT_EQ(data_uri("a/b", "f"), "data:a/b;base64,Zg==");  // RFC 4648, 10
  EXPECT_EQ(data_uri("a/b", "foobar"), "data:a/b;base64,Zm9vYmFy");
  EXPECT_EQ(data_uri("a/b", "\xff\xfe\xfd"), "data:a/b;base64,//79");
  EXPECT_EQ(data_uri("a/b", std::string(3000, '\0')).size(), 16u + 4000u);
}

}  // namespace
}  // namespace gcvit::report
