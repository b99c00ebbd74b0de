// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Marks what the shared library shows; all else in it is hidden.
#define GCVIT_EXPORT __attribute__((visibility("default")))
