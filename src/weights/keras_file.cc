// SPDX-License-Identifier: Apache-2.0
#include "weights/keras_file.h"

#include "base/error.h"
#include "formats/hdf5_writer.h"
#include "formats/in_quotes.h"

namespace gcvit::weights {

void write_keras(const std::string& path, std::span<const formats::NamedTensor> tensors, KerasFlavour flavour) {
  formats::Hdf5Datasets datasets;
  for (const formats::NamedTensor& tensor : tensors) {
    const auto make = [&tensor, flavour] { return to_keras(tensor, flavour).tensor; };
    if (!datasets.emplace(keras_path(tensor.name, flavour), make).second) {
      fail("[hdf5] {}: {} appears twice", path, formats::in_quotes(tensor.name));
    }
  }
  formats::write_hdf5(path, datasets);
}

}  // namespace gcvit::weights
