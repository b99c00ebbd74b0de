// SPDX-License-Identifier: Apache-2.0
#include "serve/multipart.h"

#include <gtest/gtest.h>

#include <random>

#include "serve/fields.h"
#include "tests/serve/refused.h"

namespace gcvit::serve {
namespace {

std::vector<Part> parse(std::string_view body, std::string_view type = "multipart/form-data; boundary=b") {
  return parse_multipart(type, std::as_bytes(std::span(body)));
}

std::string text_of(const Part& part) {
  return {reinterpret_cast<const char*>(part.content.data()), part.content.size()};
}

TEST(Fields, HaveParametersInQuotesOrWithout) {
  EXPECT_EQ(parameter_of("form-data; name=\"a;b\\\"c\"; filename=x.jpg", "name"), "a;b\"c");
  EXPECT_EQ(parameter_of("form-data; name=\"a;b\"; FileName = x.jpg ", "filename"), "x.jpg");
  EXPECT_EQ(parameter_of("form-data", "name"), std::nullopt);
  EXPECT_EQ(parameter_of("form-data; xname=1;name", "name"), std::nullopt);
  EXPECT_EQ(value_before_parameters(" text/plain ; q=1"), "text/plain");
  EXPECT_EQ(parse_number("18446744073709551615"), std::uint64_t{0} - 1);
  for (const char* const wrong : {"", "-1", "+1", "1 ", "18446744073709551616", "0x1", "1e3"}) {
    EXPECT_EQ(parse_number(wrong), std::nullopt) << wrong;
  }
}

TEST(Multipart, HasPartsOfAForm) {
  EXPECT_TRUE(is_multipart("Multipart/Form-Data; boundary=b"));
  EXPECT_FALSE(is_multipart("image/jpeg"));
  const std::vector<Part> parts = parse(
      "ignored\r\n--b\r\nContent-Type: image/png\r\ncontent-disposition: form-data; name=image; "
      "filename=\"r.png\"\r\n\r\n"
      "one\r\n--c\r\n--b  \r\nContent-Disposition: form-data; name=\"\"\r\n\r\n\r\n--b--\r\nignored");
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0].name, "image");
  EXPECT_EQ(parts[0].file_name, "r.png");
  EXPECT_EQ(text_of(parts[0]), "one\r\n--c");
  EXPECT_EQ(parts[1].name, "");
  EXPECT_EQ(text_of(parts[1]), "");
  EXPECT_TRUE(parse("--b--").empty());
}

TEST(Multipart, ReturnsWhateverWasPutIn) {
  std::mt19937 random(7);
  constexpr std::string_view kBytes = "\r\n-b: \"";
  for (int round = 0; round < 500; ++round) {
    std::vector<std::string> contents(random() % 4);
    std::string body;
    for (std::string& content : contents) {
      for (std::size_t i = random() % 30; i > 0; --i) content.push_back(kBytes[random() % kBytes.size()]);
      body += "--b0undary\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n" + content + "\r\n";
    }
    body += "--b0undary--";
    const std::vector<Part> parts = parse(body, "multipart/form-data; boundary=\"b0undary\"");
    ASSERT_EQ(parts.size(), contents.size());
    for (std::size_t i = 0; i < parts.size(); ++i) EXPECT_EQ(text_of(parts[i]), contents[i]);
  }
}

TEST(Multipart, RefusesEveryBeginningOfABody) {
  const std::string whole = "--b\r\nContent-Disposition: form-data; name=image\r\n\r\nbytes\r\n--b--";
  EXPECT_EQ(parse(whole).size(), 1u);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_TRUE(refused([&] { parse(std::string_view(whole).substr(0, size)); }).starts_with("400 [serve] form: "))
        << size;
  }
}

TEST(Multipart, RefusesWhatIsNoForm) {
  const auto form = [](std::string_view head) { return "--b\r\n" + std::string(head) + "\r\n\r\nx\r\n--b--"; };
  EXPECT_EQ(refused([] { parse("", "multipart/form-data"); }),
            "400 [serve] form: expected a boundary of 1 to 70 characters in Content-Type");
  const std::string unnamed =
      "400 [serve] form: expected \"Content-Disposition: form-data; name=...\" once in each part";
  EXPECT_EQ(refused([&] { parse(form("Content-Type: a/b")); }), unnamed);
  EXPECT_EQ(refused([&] { parse(form("Content-Disposition: form-data")); }), unnamed);
  EXPECT_EQ(refused([&] { parse(form("Content-Disposition: file; name=a")); }), unnamed);
  EXPECT_EQ(refused([&] { parse(form("no header")); }),
            "400 [serve] form: expected a header line with a colon in each part's head");
  EXPECT_EQ(refused([&] { parse(form("Content-Disposition: form-data; name=a; x=" + std::string(5000, 'y'))); }),
            "400 [serve] form: expected at most 4096 bytes before a part's content");
  std::string many;
  for (int i = 0; i < 65; ++i) many += "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n";
  EXPECT_EQ(refused([&] { parse(many + "--b--"); }), "400 [serve] form: expected at most 64 parts, found more");
}

}  // namespace
}  // namespace gcvit::serve
