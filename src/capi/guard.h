// SPDX-License-Identifier: Apache-2.0
// What stands between C++ and C: exceptions become codes and sentences.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "gcvit/error.h"
#include "gcvit/gcvit.h"

namespace gcvit::capi {

/// Keeps the exception that is being handled for `gcvit_error_message`, and gives its code.
gcvit_status keep_current_exception() noexcept;
/// The same of a failure without an exception.
gcvit_status keep_error(gcvit_status status, const std::string& sentence) noexcept;

gcvit_status status_of(ErrorCode code);

/// Runs a call's body, which throws where it fails.
template <typename Body>
gcvit_status guarded(const Body& body) noexcept {
  try {
    body();
    return GCVIT_OK;
  } catch (...) {
    return keep_current_exception();
  }
}

/// Throws `Error` of code kInvalidArgument: "[gcvit.h] what: expected X, found Y".
[[noreturn]] void refuse(std::string_view what, const std::string& expected, const std::string& found);

void expect_pointer(const void* pointer, std::string_view what);
/// count * size, both of what a caller claims. Throws `Error` when it is no size.
std::size_t product(std::size_t count, std::size_t size);
/// The room that a caller says there is must be `expected` floats.
void expect_floats(const float* pointer, std::size_t expected, std::size_t found, std::string_view what);

/// Whether a constant of C has the number of the C++ value that it stands for.
template <typename Enum>
constexpr bool same(std::int32_t in_c, Enum in_cxx) {
  return in_c == static_cast<std::int32_t>(in_cxx);
}

/// The C++ value of one of C's constants, of which there are `count`.
template <typename Enum>
Enum checked(std::int32_t value, std::int32_t count, std::string_view what) {
  if (value < 0 || value >= count) refuse(what, "0 to " + std::to_string(count - 1), std::to_string(value));
  return static_cast<Enum>(value);
}

}  // namespace gcvit::capi
