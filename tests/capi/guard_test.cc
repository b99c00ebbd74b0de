// SPDX-License-Identifier: Apache-2.0
#include "capi/guard.h"

#include <gtest/gtest.h>

#include <limits>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>

namespace gcvit::capi {
namespace {

TEST(GuardTest, ExceptionsBecomeCodesAndSentences) {
  EXPECT_EQ(guarded([] {}), GCVIT_OK);
  EXPECT_EQ(guarded([] { throw std::bad_alloc(); }), GCVIT_OUT_OF_MEMORY);
  EXPECT_STREQ(gcvit_error_message(), "[memory] an allocation failed");
  EXPECT_EQ(guarded([] { throw std::length_error("vector"); }), GCVIT_OUT_OF_MEMORY);
  EXPECT_EQ(guarded([] { throw std::logic_error("a mistake"); }), GCVIT_INTERNAL);
  EXPECT_STREQ(gcvit_error_message(), "a mistake");
  EXPECT_EQ(guarded([] { throw 7; }), GCVIT_INTERNAL);
  EXPECT_EQ(guarded([] { throw Error(ErrorCode::kIo, "[file] x: broken"); }), GCVIT_IO);
  EXPECT_EQ(guarded([] {}), GCVIT_OK);
  EXPECT_STREQ(gcvit_error_message(), "[file] x: broken");
}

TEST(GuardTest, EveryCodeHasItsOwn) {
  for (const ErrorCode code :
       {ErrorCode::kInvalidArgument, ErrorCode::kNotFound, ErrorCode::kInvalidFile, ErrorCode::kUnsupported,
        ErrorCode::kOutOfBudget, ErrorCode::kIo, ErrorCode::kCancelled}) {
    EXPECT_EQ(gcvit_status_name(status_of(code)), std::string(name_of(code)));
  }
}

TEST(GuardTest, AThreadHasItsOwnSentence) {
  EXPECT_EQ(guarded([] { throw std::logic_error("of the first"); }), GCVIT_INTERNAL);
  std::thread([] {
    EXPECT_STREQ(gcvit_error_message(), "");
    EXPECT_EQ(guarded([] { throw std::logic_error("of the second"); }), GCVIT_INTERNAL);
    EXPECT_STREQ(gcvit_error_message(), "of the second");
  }).join();
  EXPECT_STREQ(gcvit_error_message(), "of the first");
}

TEST(GuardTest, SizesThatDontFitAreRefused) {
  constexpr std::size_t kMost = std::numeric_limits<std::ptrdiff_t>::max() / sizeof(float);
  EXPECT_EQ(product(3, 5), 15u);
  EXPECT_EQ(product(kMost, 1), kMost);
  EXPECT_EQ(product(std::numeric_limits<std::size_t>::max(), 0), 0u);
  EXPECT_THROW(product(kMost / 2 + 1, 2), Error);
  EXPECT_THROW(product(std::numeric_limits<std::size_t>::max(), 5), Error);
}

}  // namespace
}  // namespace gcvit::capi
