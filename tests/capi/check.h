/* SPDX-License-Identifier: Apache-2.0 */
/* What the test in C checks with: a failure is a sentence on standard error and exit code 1. */
#pragma once

#include <gcvit/gcvit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                  \
  do {                                                                                                    \
    if (!(condition)) {                                                                                   \
      fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, __LINE__, #condition, gcvit_error_message()); \
      exit(1);                                                                                            \
    }                                                                                                     \
  } while (0)

#define CHECK_OK(call) CHECK((call) == GCVIT_OK)

/* The call must fail with this status and a sentence that has these words. */
#define CHECK_FAILS(call, expected, words)                 \
  do {                                                     \
    CHECK((call) == (expected));                           \
    CHECK(strstr(gcvit_error_message(), (words)) != NULL); \
  } while (0)
