// SPDX-License-Identifier: Apache-2.0
#include "capi/guard.h"

#include <array>
#include <exception>
#include <limits>
#include <new>
#include <stdexcept>

namespace gcvit::capi {
namespace {

// The sentence is `constant` where there was no memory for `kept`.
thread_local std::string kept;
thread_local const char* constant = "";

constexpr std::array<const char*, 10> kStatusNames = {
    "ok", "invalid_argument", "not_found",     "invalid_file", "unsupported", "out_of_budget",
    "io", "cancelled",        "out_of_memory", "internal"};

gcvit_status keep(gcvit_status status, const char* sentence) noexcept {
  try {
    kept = sentence;
    constant = nullptr;
  } catch (...) {
    constant = "[memory] an allocation failed, and another one for the sentence that says so";
  }
  return status;
}

}  // namespace

gcvit_status status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument: return GCVIT_INVALID_ARGUMENT;
    case ErrorCode::kNotFound: return GCVIT_NOT_FOUND;
    case ErrorCode::kInvalidFile: return GCVIT_INVALID_FILE;
    case ErrorCode::kUnsupported: return GCVIT_UNSUPPORTED;
    case ErrorCode::kOutOfBudget: return GCVIT_OUT_OF_BUDGET;
    case ErrorCode::kIo: return GCVIT_IO;
    case ErrorCode::kCancelled: return GCVIT_CANCELLED;
  }
  return GCVIT_INTERNAL;
}

gcvit_status keep_current_exception() noexcept {
  try {
    throw;
  } catch (const Error& error) {
    return keep(status_of(error.code()), error.what());
  } catch (const std::bad_alloc&) {
    return keep(GCVIT_OUT_OF_MEMORY, "[memory] an allocation failed");
  } catch (const std::length_error&) {
    return keep(GCVIT_OUT_OF_MEMORY, "[memory] expected a size that memory can have, found a greater one");
  } catch (const std::exception& error) {
    return keep(GCVIT_INTERNAL, error.what());
  } catch (...) {
    return keep(GCVIT_INTERNAL, "[gcvit.h] an exception of an unknown type");
  }
}

gcvit_status keep_error(gcvit_status status, const std::string& sentence) noexcept {
  return keep(status, sentence.c_str());
}

void refuse(std::string_view what, const std::string& expected, const std::string& found) {
  throw Error(ErrorCode::kInvalidArgument,
              "[gcvit.h] " + std::string(what) + ": expected " + expected + ", found " + found);
}

void expect_pointer(const void* pointer, std::string_view what) {
  if (pointer == nullptr) refuse(what, "a pointer", "NULL");
}

std::size_t product(std::size_t count, std::size_t size) {
  constexpr std::size_t kMost = std::numeric_limits<std::ptrdiff_t>::max() / sizeof(float);
  if (size != 0 && count > kMost / size) {
    refuse("count", "at most " + std::to_string(kMost / size), std::to_string(count));
  }
  return count * size;
}

void expect_floats(const float* pointer, std::size_t expected, std::size_t found, std::string_view what) {
  if (found != expected) {
    refuse(what, "room for " + std::to_string(expected) + " floats", std::to_string(found));
  }
  if (expected != 0) expect_pointer(pointer, what);
}

}  // namespace gcvit::capi

extern "C" {

const char* gcvit_status_name(std::int32_t status) {
  const auto& names = gcvit::capi::kStatusNames;
  return status >= 0 && static_cast<std::size_t>(status) < names.size() ? names[static_cast<std::size_t>(status)]
                                                                        : "unknown";
}

const char* gcvit_error_message(void) {
  return gcvit::capi::constant != nullptr ? gcvit::capi::constant : gcvit::capi::kept.c_str();
}

}  // extern "C"
