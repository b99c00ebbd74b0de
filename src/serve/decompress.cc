// SPDX-License-Identifier: Apache-2.0
#include "serve/decompress.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <new>

#include "serve/fields.h"
#include "serve/refusal.h"

namespace gcvit::serve {
namespace {

constexpr int kLargestWindow = 15;  // zlib's bits
constexpr int kGzip = 16;
constexpr std::size_t kPiece = std::size_t{64} << 10;

/// One stream of zlib, for reading.
class Inflater {
 public:
  explicit Inflater(int window) {
    if (inflateInit2(&stream_, window) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  z_stream& stream() { return stream_; }

 private:
  z_stream stream_ = {};
};

}  // namespace

std::string decompress(std::string body, std::string_view encoding, std::size_t most_bytes) {
  encoding = trimmed(encoding);
  if (encoding.empty() || equals_ignoring_case(encoding, "identity")) return body;
  const bool gzip = equals_ignoring_case(encoding, "gzip") || equals_ignoring_case(encoding, "x-gzip");
  if (!gzip && !equals_ignoring_case(encoding, "deflate")) {
    refuse(415, "encoding", "Content-Encoding: expected gzip, deflate or identity, found {}", encoding);
  }
  Inflater inflater(gzip ? kLargestWindow + kGzip : kLargestWindow);
  z_stream& stream = inflater.stream();
  stream.next_in = reinterpret_cast<Bytef*>(body.data());
  std::size_t left = body.size();
  std::string out;
  std::array<char, kPiece> piece;
  int status = Z_OK;
  while (status != Z_STREAM_END) {
    if (stream.avail_in == 0) {
      stream.avail_in = static_cast<uInt>(std::min(left, kPiece));
      left -= stream.avail_in;
    }
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    status = inflate(&stream, Z_NO_FLUSH);
    if (status == Z_MEM_ERROR) throw std::bad_alloc();
    if (status != Z_OK && status != Z_STREAM_END) {
      refuse(400, "encoding", "body: expected whole {} data, found data that is broken or cut short", encoding);
    }
    const std::size_t found = piece.size() - stream.avail_out;
    if (found > most_bytes - out.size()) {
      refuse(413, "too_large", "body: expected at most {} bytes after decompression, found more", most_bytes);
    }
    out.append(piece.data(), found);
  }
  if (left + stream.avail_in > 0)
    refuse(400, "encoding", "body: expected nothing behind its {} data, found more", encoding);
  return out;
}

}  // namespace gcvit::serve
