// SPDX-License-Identifier: Apache-2.0
// The HTTP answers that a load generator reads: those with a Content-Length.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gcvit::bench {

class AnswerReader {
 public:
  void reset();
  /// Whether the answer is whole now. Throws `Error` for what isn't an HTTP answer with a Content-Length.
  bool add(std::string_view bytes);

  bool has_begun() const { return !bytes_.empty(); }
  int status() const { return status_; }
  bool keeps_alive() const { return keeps_alive_; }
  std::string_view body() const { return std::string_view(bytes_).substr(body_at_); }

 private:
  void read_head(std::string_view head);

  std::string bytes_;
  std::size_t body_at_ = 0;  ///< 0 until the head is whole
  std::size_t body_bytes_ = 0;
  int status_ = 0;
  bool keeps_alive_ = true;
};

/// How an answer is checked.
enum class Check { kExact, kLabel, kNone };

/// What of a body must be as in the first answer to the same request: for `kExact` all of it but the time that it took, for `kLabel` the
/// first prediction's index.
std::string_view comparable(std::string_view body, Check check);

}  // namespace gcvit::bench
