// SPDX-License-Identifier: Apache-2.0
#include "native/parameter_vector.h"

#include <algorithm>

#include "base/error.h"

namespace gcvit::native {

ParameterVector::ParameterVector(std::span<const ops::Parameter* const> parameters) {
  constexpr std::int64_t kStep = kernels::kAlignment / sizeof(float);
  std::int64_t end = 0;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i]->id != static_cast<std::int32_t>(i)) {
      fail("[native] parameter \"{}\": expected id {}, found {}", parameters[i]->name, i, parameters[i]->id);
    }
    offsets_.push_back(end);
    sizes_.push_back(element_count(parameters[i]->dims));
    end += (sizes_.back() + kStep - 1) / kStep * kStep;
  }
  buffer_ = kernels::AlignedBuffer(end);
  clear();
}

std::size_t ParameterVector::index_of(const ops::Parameter& parameter) const {
  const auto id = static_cast<std::size_t>(parameter.id);
  if (parameter.id < 0 || id >= sizes_.size() || sizes_[id] != element_count(parameter.dims)) {
    fail("[native] parameter \"{}\" {} is not one of this model's", parameter.name, to_string(parameter.dims));
  }
  return id;
}

std::span<float> ParameterVector::of(const ops::Parameter& parameter) { return of(index_of(parameter)); }

std::span<const float> ParameterVector::of(const ops::Parameter& parameter) const {
  const std::size_t id = index_of(parameter);
  return {buffer_.data() + offsets_[id], static_cast<std::size_t>(sizes_[id])};
}

void ParameterVector::clear() { std::fill_n(buffer_.data(), buffer_.size(), 0.0f); }

}  // namespace gcvit::native
