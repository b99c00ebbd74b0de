// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/tensor.h"
#include "model/config.h"
#include "ops/parameter.h"
#include "formats/mapped_file.h"

namespace gcvit::weights {

/// Index of the first element that is infinite or NaN; the size when all are finite.
std::size_t first_not_finite(std::span<const float> values);

/// The values of a model's parameters as its file has them, each made ready when it is asked for: so a model can be packed
/// without all of them in memory at once.
class ParameterValues {
 public:
  struct Options {
    model::GCViTConfig stored;  ///< what the file's tensors are for
    model::GCViTConfig wanted;  ///< the model's: other windows resize the bias tables
    bool keras_example_bias = false;  ///< rewrite the bias tables as the Keras example reads them
    std::uint64_t seed = 0;  ///< of parameters that the file lacks
  };
  /// `mappings` are the files that tensors may view. `file` names them in errors.
  ParameterValues(std::string file, const Options& options,
                  std::vector<std::shared_ptr<const formats::MappedFile>> mappings);

  /// Says which of the file's tensors is the parameter's. One without is initialised at random.
  void add(const ops::Parameter& parameter, ops::TypedValues values);

  /// The type in which the file has the parameter; f32 for one without.
  DType dtype_of(const ops::Parameter& parameter) const;

  /// f32 values in the parameter's dims; where the file has them so, a view of it. With the next call the memory of this one's pages
  /// goes back to the system; they are read again from the file where they are still used. Throws `Error` when the tensor is of another
  /// dtype than f32, f16, bf16, f64 and i8 with scales, or has a value that isn't finite.
  Tensor of(const ops::Parameter& parameter);
  /// The same in the file's own type, but for f64 and for values that aren't the file's (tables at another size, a new head), which are f32.
  ops::TypedValues typed(const ops::Parameter& parameter);

  /// Throws `Error` as `of` does, of what the file has of the parameter.
  void check(const ops::Parameter& parameter) const;

 private:
  void check_type(const ops::Parameter& parameter, const ops::TypedValues& stored) const;
  Tensor converted(const ops::Parameter& parameter, const ops::TypedValues& stored) const;
  bool is_changed(const ops::Parameter& parameter) const;
  void drop_pages(const Tensor& tensor) const;

  std::string file_;
  Options options_;
  std::vector<std::shared_ptr<const formats::MappedFile>> mappings_;
  std::map<std::int32_t, ops::TypedValues> stored_;  ///< by parameter id
  ops::TypedValues last_;
};

}  // namespace gcvit::weights
