// SPDX-License-Identifier: Apache-2.0
#include "serve/api_keys.h"

#include <gtest/gtest.h>

#include "tests/weights/test_files.h"

namespace gcvit::serve {
namespace {

using weights::error_of;

const std::string kFirst = "0123456789abcdef";
const std::string kSecond(256, 'k');

TEST(ApiKeys, AllowWhoHasOne) {
  const ApiKeys keys("# ours\n\n" + kFirst + "\r\n  " + kSecond + "  ", "keys");
  EXPECT_FALSE(keys.empty());
  EXPECT_TRUE(keys.allow("Bearer " + kFirst));
  EXPECT_TRUE(keys.allow("bearer   " + kSecond + " "));
  const std::vector<std::string> others = {"",
                                           "Bearer",
                                           "Bearer ",
                                           kFirst,
                                           "Basic " + kFirst,
                                           "Bearer " + kFirst + "0",
                                           "Bearer " + kFirst.substr(1),
                                           "Bearer " + kSecond + "k",
                                           "Bearer 0123456789abcdeg",
                                           "Bearer\t" + kFirst};
  for (const std::string& wrong : others) EXPECT_FALSE(keys.allow(wrong)) << wrong;
}

TEST(ApiKeys, AreNotAskedForWhereThereAreNone) { EXPECT_TRUE(ApiKeys().allow("")); }

TEST(ApiKeys, OfAFileAreChecked) {
  EXPECT_EQ(
      error_of([] { ApiKeys("short\n", "keys"); }),
      "[serve] keys: line 1: expected a key of 16 to 256 printable ASCII characters without spaces, found 5 bytes");
  EXPECT_EQ(
      error_of([] { ApiKeys(kFirst + "\n0123456789 abcdef", "keys"); }),
      "[serve] keys: line 2: expected a key of 16 to 256 printable ASCII characters without spaces, found 17 bytes");
  EXPECT_EQ(error_of([] { ApiKeys("# none\n", "keys"); }), "[serve] keys: expected a key on a line, found none");
  const weights::TemporaryFolder folder;
  weights::write_text(folder / "keys", kFirst);
  EXPECT_TRUE(ApiKeys::read(folder / "keys").allow("Bearer " + kFirst));
}

}  // namespace
}  // namespace gcvit::serve
