// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tests/formats/test_files.h"

namespace gcvit::weights {

using formats::Bytes;
using formats::error_of;
using formats::read_text;
using formats::reference;
using formats::safetensors_text;
using formats::TemporaryFolder;
using formats::write_text;

}  // namespace gcvit::weights
