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

void ParameterVector::write(const ops::Parameter& parameter, std::span<const float> values) {
  const std::span<float> to = of(parameter);
  if (values.size() != to.size()) {
    fail("[native] parameter \"{}\": expected {} values, found {}", parameter.name, to.size(), values.size());
  }
  std::ranges::copy(values, to.begin());
}

void ParameterVector::clear() { std::fill_n(buffer_.data(), buffer_.size(), 0.0f); }

const ParameterVector& own(const ops::ParameterVector& vector) {
  const auto* own = dynamic_cast<const ParameterVector*>(&vector);
  if (own == nullptr) fail("[native] expected a parameter vector of this executor, found one of another");
  return *own;
}

ParameterVector& own(ops::ParameterVector& vector) {
  return const_cast<ParameterVector&>(own(static_cast<const ops::ParameterVector&>(vector)));
}

}  // namespace gcvit::native
