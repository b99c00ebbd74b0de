// SPDX-License-Identifier: Apache-2.0
#include "weights/match_parameters.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "formats/in_quotes.h"
#include "model/tensor_table.h"
#include "weights/change_image_size.h"
#include "weights/quantise.h"

namespace gcvit::weights {
namespace {

constexpr std::size_t kNamesShown = 3;

/// "2 tensors are missing (a, b)", or nothing for an empty list.
template <typename Entry, typename Show>
void describe(std::string& sentence, const std::vector<Entry>& entries, std::string_view what, const Show& show) {
  if (entries.empty()) return;
  if (!sentence.empty()) sentence += "; ";
  sentence += fmt::format("{} {} {} (", entries.size(), entries.size() == 1 ? "tensor is" : "tensors are", what);
  for (std::size_t i = 0; i < std::min(entries.size(), kNamesShown); ++i) {
    if (i > 0) sentence += ", ";
    sentence += show(entries[i]);
  }
  sentence += entries.size() > kNamesShown ? ", ...)" : ")";
}

std::string quoted(const std::string& name) { return formats::in_quotes(name); }

bool is_excused(const LoadReport& report, const std::string& name) {
  return report.new_head && model::is_in(model::Part::kHead, name);
}

/// Takes the tensor of that name out of `tensors`; an empty one when there is none.
Tensor take(TensorsByName& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) return {};
  const Tensor tensor = *found->second;
  tensors.erase(found);
  return tensor;
}

/// kF16 or kBF16 when all floats are that, else kF32.
DType narrow_dtype_of(const std::map<DType, std::size_t>& types) {
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    if (types.contains(dtype) && types.size() == 1 + types.count(DType::kI8)) return dtype;
  }
  return DType::kF32;
}

}  // namespace

std::string describe_names(const std::vector<std::string>& names, std::string_view what) {
  std::string sentence;
  describe(sentence, names, what, quoted);
  return sentence;
}

TensorsByName tensors_by_name(const std::vector<formats::NamedTensor>& tensors, const std::string& file) {
  TensorsByName by_name;
  for (const formats::NamedTensor& entry : tensors) {
    if (!by_name.emplace(entry.name, &entry.tensor).second) {
      fail("[weights] {}: two tensors are {}", file, formats::in_quotes(entry.name));
    }
  }
  return by_name;
}

std::vector<std::pair<model::Parameter*, ops::TypedValues>> match_parameters(model::GCViT& model,
                                                                             const model::GCViTConfig& stored,
                                                                             TensorsByName& tensors,
                                                                             LoadReport& report) {
  std::vector<std::pair<model::Parameter*, ops::TypedValues>> found;
  for (model::Parameter* parameter : model.parameters()) {
    const Tensor tensor = take(tensors, parameter->name);
    if (tensor.empty()) {
      report.missing.push_back(parameter->name);
      continue;
    }
    ops::TypedValues values{tensor, {}};
    const bool quantised = tensor.dtype() == DType::kI8;
    if (quantised) {
      values.scales = take(tensors, parameter->name + std::string(kScaleSuffix));
      take(tensors, parameter->name + std::string(kInputScaleSuffix));
    }
    const Dims expected = dims_in_file(*parameter, stored);
    if (tensor.dims() != expected) report.mismatched.push_back({parameter->name, expected, tensor.dims()});
    if (tensor.dims() != expected || is_excused(report, parameter->name)) continue;
    ++report.types[tensor.dtype()];
    found.emplace_back(parameter, std::move(values));
  }
  report.dtype = narrow_dtype_of(report.types);
  return found;
}

void check_complete(const LoadReport& report, const std::string& file) {
  std::vector<std::string> missing = report.missing;
  std::vector<Mismatch> mismatched = report.mismatched;
  std::erase_if(missing, [&](const std::string& name) { return is_excused(report, name); });
  std::erase_if(mismatched, [&](const Mismatch& mismatch) { return is_excused(report, mismatch.name); });
  if (missing.empty() && mismatched.empty()) return;
  std::string sentence = describe_names(missing, "missing");
  describe(sentence, mismatched, "of another shape", [](const Mismatch& mismatch) {
    return fmt::format("{}: expected {}, found {}", formats::in_quotes(mismatch.name), to_string(mismatch.expected),
                       to_string(mismatch.found));
  });
  describe(sentence, report.unexpected, "unexpected", quoted);
  fail("[weights] {}: {}", file, sentence);
}

}  // namespace gcvit::weights
