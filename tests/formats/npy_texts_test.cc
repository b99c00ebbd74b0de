// SPDX-License-Identifier: Apache-2.0
#include "formats/npy_texts.h"

#include <gtest/gtest.h>

#include <span>
#include <string>
#include <vector>

#include "tests/formats/test_files.h"

namespace gcvit::formats {
namespace {

using Texts = std::vector<std::string>;

Texts parse(const std::string& file) { return parse_npy_texts(std::as_bytes(std::span(file)), "x.npy"); }

/// A version 1.0 file of this header and these bytes.
std::string file_of(const std::string& header, const std::string& data) {
  std::string text("\x93NUMPY\x01\x00", 8);
  text += {static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  return text + header + data;
}

std::string header_of(const std::string& descr, const std::string& shape) {
  return "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }";
}

TEST(NpyTexts, EveryNameComesBackByteByByte) {
  const Texts texts = {"photos/rose.jpg",
                       "",
                       "\xc3\xa9t\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8c\xb7.jpg",
                       "bytes \x80\xff that are no UTF-8",
                       "cut short \xe2\x82",
                       "a surrogate \xed\xb2\x80",
                       "a\nb"};
  EXPECT_EQ(parse(npy_of_texts(texts)), texts);
  EXPECT_EQ(parse(npy_of_texts({})), Texts{});
  EXPECT_EQ(parse(npy_of_texts(Texts{"", ""})), (Texts{"", ""}));
}

TEST(NpyTexts, StoresCharactersAsNumPyDoes) {
  const std::string file = npy_of_texts(Texts{"a", "\xe2\x82\xac\xff"});
  EXPECT_NE(file.find("'descr': '<U2', 'fortran_order': False, 'shape': (2,), "), std::string::npos);
  EXPECT_EQ(file.size() % 64, 16u);
  EXPECT_EQ(file.substr(file.size() - 16), std::string("a\0\0\0\0\0\0\0\xac\x20\0\0\xff\xdc\0\0", 16));
}

TEST(NpyTexts, SaysWhatItFoundInstead) {
  const auto refused = [](const std::string& file) { return error_of([&] { parse(file); }); };
  EXPECT_EQ(refused(file_of(header_of("<f4", "(1,)"), "1234")),
            "[npy] x.npy: expected texts of dtype '<U', found \"<f4\"");
  EXPECT_EQ(refused(file_of(header_of("<U", "(1,)"), "1234")),
            "[npy] x.npy: expected texts of dtype '<U', found \"<U\"");
  EXPECT_EQ(refused(file_of(header_of("<U4611686018427387905", "(1,)"), "1234")),
            "[npy] x.npy: expected texts of dtype '<U', found \"<U4611686018427387905\"");
  EXPECT_EQ(refused(file_of(header_of(">U1", "(1,)"), "1234")),
            "[npy] x.npy: expected texts of dtype '<U', found \">U1\"");
  EXPECT_EQ(refused(file_of(header_of("<U1", "(1, 1)"), "1234")), "[npy] x.npy: expected one axis, found [1, 1]");
  EXPECT_EQ(refused(file_of(header_of("<U1", "(2,)"), "1234")),
            "[npy] x.npy: texts [2] needs 8 bytes, file has 4 behind its header");
  EXPECT_EQ(refused(file_of(header_of("<U1", "(1,)"), std::string("\0\0\x11\0", 4))),
            "[npy] x.npy: text 0: expected a character, found the number 1114112");
  EXPECT_EQ(refused(file_of(header_of("<U1", "(1,)"), std::string("\0\xd8\0\0", 4))),
            "[npy] x.npy: text 0: expected a character, found the number 55296");
  const std::string huge = refused(file_of(header_of("<U0", "(4000000000000)"), ""));
  EXPECT_NE(huge.find("expected texts, found 4000000000000 empty ones in "), std::string::npos) << huge;
}

}  // namespace
}  // namespace gcvit::formats
