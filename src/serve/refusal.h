// SPDX-License-Identifier: Apache-2.0
// Why a request gets no answer.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "gcvit/error.h"

namespace gcvit::serve {

/// A request that is answered with an error: its HTTP status, a word for it in the metrics, and one sentence.
class Refusal : public Error {
 public:
  /// `reason` must be a literal.
  Refusal(unsigned status, std::string_view reason, const std::string& sentence)
      : Error(ErrorCode::kInvalidArgument, sentence), status_(status), reason_(reason) {}

  unsigned status() const { return status_; }
  std::string_view reason() const { return reason_; }
  /// A header field that belongs to the status, such as Allow to 405; its name is empty when there is none.
  const std::pair<std::string, std::string>& field() const { return field_; }
  Refusal with(std::string name, std::string value) && {
    field_ = {std::move(name), std::move(value)};
    return std::move(*this);
  }

 private:
  unsigned status_;
  std::string_view reason_;
  std::pair<std::string, std::string> field_;
};

/// Throws a `Refusal` with a formatted sentence, which begins with "[serve] ".
template <typename... Args>
[[noreturn]] void refuse(unsigned status, std::string_view reason, fmt::format_string<Args...> sentence,
                         Args&&... args) {
  throw Refusal(status, reason, "[serve] " + fmt::format(sentence, std::forward<Args>(args)...));
}

/// How the failure of a request is answered: a `Refusal` as it says, any other error by its code.
Refusal refusal_of(const Error& error);
/// The same of an image's error in a result.
Refusal refusal_of(ErrorCode code, const std::string& sentence);

}  // namespace gcvit::serve
