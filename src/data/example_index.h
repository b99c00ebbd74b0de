// SPDX-License-Identifier: Apache-2.0
// What features a tf.Example has and where they lie, without reading the photo among them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "data/tfrecord.h"

namespace gcvit::data {

/// A named list of values.
struct Feature {
  enum class Kind : std::uint8_t { kNone, kBytes, kFloats, kIntegers };
  Kind kind = Kind::kNone;
  std::size_t values = 0;  ///< 2 stands for more as well
  std::int64_t integer = 0;  ///< the first one
  std::uint64_t offset = 0;  ///< where the first text begins in the file
  std::uint64_t size = 0;    ///< its bytes
};

/// The features of a record by name, each as protocol buffers understand it: the last of a name. Throws `Error` for one
/// that is no tf.Example, has over 4,096 features or a name of over 1,024 bytes; `record_number` says which it is.
std::map<std::string, Feature> features_of(TfrecordReader& reader, const TfrecordReader::Record& record,
                                           const std::string& file, std::size_t record_number);

}  // namespace gcvit::data
