// SPDX-License-Identifier: Apache-2.0
// The .npz that `gcvit features` writes: features of images, the images' names, and what tells the model that made them.
#pragma once

#include <string>
#include <vector>

#include "base/tensor.h"

namespace gcvit::explain {

/// What made the features.
struct FeatureSource {
  std::string model;  ///< the model's file, for people
  std::string preprocessing;  ///< from image to tensor, as gcvit.preprocess has it
  std::vector<float> fingerprint;  ///< explain::fingerprint of the model; empty where the index doesn't have it
};

struct FeatureIndex {
  Tensor features;  ///< [n, ...], f32
  std::vector<std::string> images;  ///< n names
  FeatureSource source;
};

/// Bytes of an .npz that holds `values` floats of features for images of these names, or a little fewer.
double npz_bytes(double values, const std::vector<std::string>& images);

/// Writes the arrays `features`, `images`, `model`, `preprocessing` and `fingerprint`, which numpy.load reads without pickle; the file
/// appears whole or not at all. Throws `Error` beyond 4 GB.
void write_feature_index(const std::string& path, const FeatureIndex& index);

/// Reads such a file, or one with `features` and `images` alone that another program wrote without compression; the features may view
/// the mapped file. Throws `Error` when it is something else, cut short or damaged, when names and rows differ in number, and when a
/// value isn't finite.
FeatureIndex read_feature_index(const std::string& path);

}  // namespace gcvit::explain
