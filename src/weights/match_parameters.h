// SPDX-License-Identifier: Apache-2.0
// Which of a file's tensors is which parameter's, and what is wrong or over.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/tensor.h"
#include "model/gcvit.h"
#include "weights/names.h"

namespace gcvit::weights {

struct Mismatch {
  std::string name;
  Dims expected;
  Dims found;
};

struct LoadReport {
  std::vector<std::string> missing;  ///< canonical names the file lacks
  std::vector<std::string> unexpected;  ///< names in the file that no parameter has; they are left alone
  std::vector<Mismatch> mismatched;
  std::vector<std::string> notices;  ///< sentences that a person should see: what was chosen, what was left out
  bool new_head = false;  ///< the head was initialised, not loaded; it stands under missing or mismatched
  /// kF16 or kBF16 when all parameters were stored so (but for kI8 ones), else kF32.
  DType dtype = DType::kF32;
  std::map<DType, std::size_t> types;  ///< how many parameters were stored as what

  std::size_t quantised() const { return types.contains(DType::kI8) ? types.at(DType::kI8) : 0; }
};

/// Tensors by canonical name.
using TensorsByName = std::map<std::string_view, const Tensor*>;

/// Throws `Error` when two tensors have one name.
TensorsByName tensors_by_name(const std::vector<formats::NamedTensor>& tensors, const std::string& file);

/// Takes each parameter's tensor out of `tensors`, with its scales when it is i8, and writes down in `report` what is missing or
/// of other dims than it has in a file of config `stored`. With `report.new_head` the head's are not taken.
std::vector<std::pair<model::Parameter*, ops::TypedValues>> match_parameters(model::GCViT& model,
                                                                             const model::GCViTConfig& stored,
                                                                             TensorsByName& tensors,
                                                                             LoadReport& report);

/// Throws `Error` when the report has tensors missing or mismatched that a new head doesn't excuse.
void check_complete(const LoadReport& report, const std::string& file);

/// The names in quotes, three at most, with their number and `what` in front: "2 tensors are missing (a, b)"; "" without any.
std::string describe_names(const std::vector<std::string>& names, std::string_view what);

}  // namespace gcvit::weights
