// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <nanobind/nanobind.h>

#include "gcvit/error.h"

namespace gcvit::python {

/// The exception of gcvit_cpp for it, not raised.
nanobind::object error_of(ErrorCode code, const std::string& sentence);

}  // namespace gcvit::python
