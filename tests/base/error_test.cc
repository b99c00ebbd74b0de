// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <gtest/gtest.h>

#include <string>

#include "base/memory.h"
#include "base/open_file.h"
#include "base/resource_error.h"

namespace gcvit {
namespace {

template <typename Act>
std::string code_of(const Act& act) {
  try {
    act();
  } catch (const Error& error) {
    return std::string(name_of(error.code()));
  }
  return "none";
}

TEST(Error, HasTheCodeOfItsAreaUnlessItIsGivenOne) {
  EXPECT_EQ(code_of([] { fail("[safetensors] m: header length 3: expected at most 2"); }), "invalid_file");
  EXPECT_EQ(code_of([] { fail("[an area of tomorrow] m: broken"); }), "invalid_file");
  EXPECT_EQ(code_of([] { fail("[ops] linear: expected 3 input channels, found 4"); }), "invalid_argument");
  EXPECT_EQ(code_of([] { fail("a sentence without an area"); }), "invalid_argument");
  EXPECT_EQ(code_of([] { fail(ErrorCode::kUnsupported, "[safetensors] m: as of {}", 2027); }), "unsupported");
}

TEST(Error, WhatRunsOutOrIsMissingHasItsOwnCode) {
  EXPECT_EQ(code_of([] { read_regular_file("/nowhere/at/all", "test", 1); }), "not_found");
  EXPECT_EQ(code_of([] { check_memory(2e12, 1 << 20, "a model"); }), "out_of_budget");
  EXPECT_EQ(code_of([] { throw ResourceError("[threads] can't start 9 threads"); }), "io");
}

}  // namespace
}  // namespace gcvit
