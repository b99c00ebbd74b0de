// SPDX-License-Identifier: Apache-2.0
#include "serve/refusal.h"

namespace gcvit::serve {

Refusal refusal_of(const Error& error) {
  if (const auto* const refusal = dynamic_cast<const Refusal*>(&error)) return *refusal;
  return refusal_of(error.code(), error.what());
}

Refusal refusal_of(ErrorCode code, const std::string& sentence) {
  switch (code) {
    case ErrorCode::kInvalidArgument: return {400, "invalid_argument", sentence};
    case ErrorCode::kInvalidFile: return {400, "invalid_image", sentence};
    case ErrorCode::kNotFound: return {404, "not_found", sentence};
    case ErrorCode::kUnsupported: return {415, "unsupported", sentence};
    case ErrorCode::kOutOfBudget: return {413, "too_large", sentence};
    case ErrorCode::kIo: return Refusal(503, "exhausted", sentence).with("Retry-After", "1");
    case ErrorCode::kCancelled: return {504, "deadline", sentence};
  }
  return {500, "internal", sentence};
}

}  // namespace gcvit::serve
