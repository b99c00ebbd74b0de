// SPDX-License-Identifier: Apache-2.0
// The one place that needs libhdf5; reading doesn't (hdf5_file.h).
#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/tensor.h"

namespace gcvit::formats {

/// Datasets by their paths in the file ("layers/norm/vars/0"). Each is made when it is written, so that not all copies are in memory
/// at one time.
using Hdf5Datasets = std::map<std::string, std::function<Tensor()>>;

/// Writes an HDF5 file of f32 datasets as Keras' own files are (old superblock, no times), the groups on their paths too.
/// The same datasets give the same bytes. Whole or not at all; throws `Error` when that fails.
void write_hdf5(const std::string& path, const Hdf5Datasets& datasets);

}  // namespace gcvit::formats
