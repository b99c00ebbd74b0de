// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "explain/feature_index.h"
#include "gcvit/session.h"

namespace gcvit::cli {

/// Features of photos as a file, a row each, in memory that grows with their names alone. The file appears whole or not at all.
class FeatureFile {
 public:
  virtual ~FeatureFile() = default;
  virtual void add(const std::string& image, std::span<const float> values) = 0;
  /// `source`: what made them, where the form has a place for it.
  virtual void commit(const explain::FeatureSource& source) = 0;
};

/// A file by its ending: .npz (explain/feature_index.h); .npy, float32 [N, ...] and beside it a .txt with a name a line; .csv, a row of
/// image,f0,f1,... a photo. `shape`: of a photo's features. Throws `UsageError` for another ending and for maps in a CSV, `Error` when the
/// file can't be written, would be too large for its form, or a name has a line break that a .txt can't hold.
std::unique_ptr<FeatureFile> make_feature_file(const std::string& path, const ValueShape& shape,
                                               const std::vector<std::string>& images);

}  // namespace gcvit::cli
