// SPDX-License-Identifier: Apache-2.0
#include "serve/decompress.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include "tests/serve/refused.h"

namespace gcvit::serve {
namespace {

constexpr int kGzip = 15 + 16;
constexpr int kZlib = 15;

std::string compressed(std::string text, int window) {
  z_stream stream = {};
  deflateInit2(&stream, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY);
  std::string out(text.size() + 1000, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(text.data());
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

TEST(Decompress, UndoesEveryEncoding) {
  const std::string text(300'000, 'x');
  EXPECT_EQ(decompress(text, "", 10), text);  // whose limit the connection has
  EXPECT_EQ(decompress(text, " Identity ", 10), text);
  EXPECT_EQ(decompress(compressed(text, kGzip), "gzip", text.size()), text);
  EXPECT_EQ(decompress(compressed(text, kGzip), "X-GZIP", text.size()), text);
  EXPECT_EQ(decompress(compressed(text, kZlib), "deflate", text.size()), text);
  EXPECT_EQ(decompress(compressed("", kGzip), "gzip", 0), "");
}

TEST(Decompress, StopsAtItsLimit) {
  const std::string bomb = compressed(std::string(50'000'000, '\0'), kGzip);
  EXPECT_LT(bomb.size(), 60'000u);
  EXPECT_EQ(refused([&] { decompress(bomb, "gzip", 1'000'000); }),
            "413 [serve] body: expected at most 1000000 bytes after decompression, found more");
}

TEST(Decompress, RefusesBrokenData) {
  const std::string whole = compressed("some text", kGzip);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(refused([&] { decompress(whole.substr(0, size), "gzip", 1000); }),
              "400 [serve] body: expected whole gzip data, found data that is broken or cut short")
        << size;
  }
  EXPECT_EQ(refused([&] { decompress(whole + "x", "gzip", 1000); }),
            "400 [serve] body: expected nothing behind its gzip data, found more");
  EXPECT_EQ(refused([&] { decompress(whole, "br", 1000); }),
            "415 [serve] Content-Encoding: expected gzip, deflate or identity, found br");
}

}  // namespace
}  // namespace gcvit::serve
