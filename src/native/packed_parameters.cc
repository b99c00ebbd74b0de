// SPDX-License-Identifier: Apache-2.0
#include "native/packed_parameters.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/gemm_i8.h"

namespace gcvit::native {

kernels::Precision kernel_precision(ops::Precision precision) {
  return precision == ops::Precision::kBf16 ? kernels::Precision::kBf16 : kernels::Precision::kF32;
}

namespace {

void check_values(const ops::Parameter& parameter) {
  if (parameter.tensor.empty()) fail("[native] parameter \"{}\" has no values: load or initialise it", parameter.name);
  if (parameter.tensor.size() != element_count(parameter.dims)) {
    fail("[native] parameter \"{}\": expected {}, found {}", parameter.name, to_string(parameter.dims),
         to_string(parameter.tensor.dims()));
  }
}

/// [out][in][9] -> [out][9][in]
template <typename Element>
void order_by_pixel(const Element* from, std::int64_t out, std::int64_t in, ThreadPool& pool,
                    std::vector<Element>& to) {
  to.resize(static_cast<std::size_t>(out * in * 9));
  pool.parallel_for(out, [&](std::int64_t o, int) {
    for (std::int64_t i = 0; i < in; ++i) {
      for (std::int64_t pixel = 0; pixel < 9; ++pixel) {
        to[static_cast<std::size_t>((o * 9 + pixel) * in + i)] = from[(o * in + i) * 9 + pixel];
      }
    }
  });
}

/// [out][9][in] -> [out][in][9]
template <typename Element>
std::vector<Element> order_by_channel(const std::vector<Element>& from, std::int64_t in) {
  std::vector<Element> to(from.size());
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(from.size()); ++i) {
    const std::int64_t out = i / (9 * in);
    to[static_cast<std::size_t>(i)] = from[static_cast<std::size_t>((out * 9 + i % 9) * in + i / 9 % in)];
  }
  return to;
}

}  // namespace

const float* values_of(const ops::Parameter& parameter) {
  check_values(parameter);
  return parameter.tensor.values().data();
}

PackedParameters::Entry& PackedParameters::entry(std::deque<Entry>& entries, const ops::Parameter& parameter,
                                                 bool& stale) {
  const auto id = static_cast<std::size_t>(parameter.id);
  if (parameter.id < 0) fail("[native] parameter \"{}\" has no id: it belongs to no model", parameter.name);
  if (id >= entries.size()) entries.resize(id + 1);
  Entry& entry = entries[id];
  stale = entry.version != parameter.version;
  if (stale) entry.version.reset();  // who packs it says so behind that: packing may throw
  return entry;
}

PackedParameters::Entry& PackedParameters::entry(const ops::Parameter& parameter, bool& stale) {
  if (!shared_) return entry(entries_, parameter, stale);
  const auto id = static_cast<std::size_t>(parameter.id);
  if (parameter.id < 0 || id >= entries_.size() || entries_[id].version != parameter.version) {
    fail("[native] parameter \"{}\" is not one of the packed model's", parameter.name);
  }
  stale = false;
  return entries_[id];
}

void PackedParameters::set_precision(kernels::Precision precision) {
  if (precision == precision_) return;
  if (shared_) fail("[native] a packed model's precision can't be changed");
  precision_ = precision;
  entries_.clear();
  arena_ = {};
  const std::scoped_lock lock(gradients_mutex_);
  own_gradient_forms_.reset();
  gradient_forms_.reset();  // a run that still holds them keeps the memory alone
}

struct PackedParameters::GradientForms {
  kernels::Arena arena;  ///< of all entries
  std::deque<Entry> transposed;
  std::array<std::deque<Entry>, 4> convolutions_transposed;  ///< [2 * odd row + odd column]
};

std::shared_ptr<PackedParameters::GradientForms> PackedParameters::hold_gradient_forms() {
  const std::scoped_lock lock(gradients_mutex_);
  std::shared_ptr<GradientForms> forms = gradient_forms_.lock();
  if (forms == nullptr) {
    forms = std::make_shared<GradientForms>();
    gradient_forms_ = forms;
    if (!shared_) own_gradient_forms_ = forms;
  }
  return forms;
}

std::shared_ptr<PackedParameters::GradientForms> PackedParameters::gradient_forms() {
  std::shared_ptr<GradientForms> forms = gradient_forms_.lock();
  if (forms == nullptr) fail("[native] a backward needs the forms that its training run holds");
  return forms;
}

void PackedParameters::share() {
  shared_ = true;
  own_gradient_forms_.reset();
  unpacked_ = {};
}

void PackedParameters::pack(const ops::Parameter& weight, const std::optional<ops::Parameter>& bias,
                            kernels::PackedWeights& packed) {
  check_values(weight);
  const bool is_convolution = weight.role == ops::Role::kConvolution;
  const auto columns = static_cast<std::int32_t>(weight.dims[0]);
  const auto in = static_cast<std::int32_t>(weight.dims[1]);
  const std::int32_t taps = is_convolution ? 3 : 1;
  const std::int32_t k = is_convolution ? 3 * in : in;
  const float* const biases = bias ? values_of(*bias) : nullptr;
  if (weight.tensor.dtype() == DType::kI8) {
    const auto* integers = reinterpret_cast<const std::int8_t*>(weight.tensor.bytes().data());
    std::vector<std::int8_t> by_pixel;
    if (is_convolution) {
      order_by_pixel(integers, columns, in, pool_, by_pixel);
      integers = by_pixel.data();
    }
    kernels::allocate_i8(weight.scales.values().data(), biases, columns, taps, k, packed, &arena_);
    pool_.parallel_for(kernels::panel_count(columns), [&](std::int64_t panel, int) {
      const auto first = static_cast<std::int32_t>(panel);
      kernels::pack_i8_panels(integers, packed, first, first + 1);
    });
    return;
  }
  const Tensor source = weight.tensor.to_f32();
  const float* floats = source.values().data();
  if (is_convolution) {
    order_by_pixel(floats, columns, in, pool_, unpacked_);
    floats = unpacked_.data();
  }
  const bool stored_in_bf16 = weight.tensor.dtype() == DType::kBF16 && precision_ == kernels::Precision::kF32;
  kernels::allocate(biases, columns, taps, k, packed, stored_in_bf16 ? kernels::Precision::kBf16Weights : precision_,
                    &arena_);
  pool_.parallel_for(kernels::panel_count(columns), [&](std::int64_t panel, int) {
    const auto first = static_cast<std::int32_t>(panel);
    kernels::pack_panels(floats, packed, first, first + 1);
  });
}

const kernels::PackedWeights& PackedParameters::layer(const ops::Parameter& weight,
                                                      const std::optional<ops::Parameter>& bias) {
  bool stale = false;
  Entry& packed = entry(weight, stale);
  bool bias_stale = false;
  Entry* const bias_entry = bias ? &entry(*bias, bias_stale) : nullptr;
  if (stale || bias_stale) {
    pack(weight, bias, packed.weights);
    packed.version = weight.version;
    if (bias_entry != nullptr) bias_entry->version = bias->version;
  }
  return packed.weights;
}

const kernels::PackedWeights& PackedParameters::linear(const ops::Linear& linear) {
  return layer(linear.weight, linear.bias);
}

const kernels::PackedWeights& PackedParameters::convolution(const ops::Conv3x3& convolution) {
  return layer(convolution.weight, convolution.bias);
}

const float* PackedParameters::depthwise(const ops::Parameter& weight) {
  bool stale = false;
  Entry& packed = entry(weight, stale);
  if (stale) {
    const float* values = values_of(weight);
    const std::int64_t channels = weight.dims[0];
    if (packed.unpacked.size() == 0) packed.unpacked = kernels::AlignedBuffer(9 * channels, arena_);
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t tap = 0; tap < 9; ++tap) packed.unpacked.data()[tap * channels + c] = values[c * 9 + tap];
    }
    packed.version = weight.version;
  }
  return packed.unpacked.data();
}

const kernels::PackedBias& PackedParameters::bias_table(const ops::Parameter& table, ops::Window window) {
  bool stale = false;
  Entry& packed = entry(table, stale);
  if (stale) {
    packed.bias =
        kernels::pack_bias(values_of(table), window.height, window.width, static_cast<std::int32_t>(table.dims[1]));
    packed.version = table.version;
  }
  return packed.bias;
}

const kernels::PackedWeights& PackedParameters::linear_transposed(const ops::Linear& linear) {
  const std::scoped_lock lock(gradients_mutex_);
  const std::shared_ptr<GradientForms> forms = gradient_forms();
  bool stale = false;
  Entry& packed = entry(forms->transposed, linear.weight, stale);
  if (stale) {
    const Tensor source = source_of(linear.weight);
    const float* weights = source.values().data();
    kernels::allocate(nullptr, static_cast<std::int32_t>(linear.weight.dims[1]), 1,
                      static_cast<std::int32_t>(linear.weight.dims[0]), packed.weights, precision_, &forms->arena);
    pack_transposed({&weights, 1}, packed.weights);
    packed.version = linear.weight.version;
  }
  return packed.weights;
}

const float* PackedParameters::convolution_pixels(GradientForms& forms, const ops::Conv3x3& convolution) {
  bool stale = false;
  Entry& packed = entry(forms.transposed, convolution.weight, stale);
  if (stale) {
    const Tensor source = source_of(convolution.weight);
    const float* weights = source.values().data();
    const std::int64_t out = convolution.weight.dims[0];
    const std::int64_t in = convolution.weight.dims[1];
    if (packed.unpacked.size() == 0) packed.unpacked = kernels::AlignedBuffer(9 * out * in, forms.arena);
    pool_.parallel_for(out, [&](std::int64_t o, int) {
      for (std::int64_t pixel = 0; pixel < 9; ++pixel) {
        float* to = packed.unpacked.data() + (pixel * out + o) * in;
        for (std::int64_t i = 0; i < in; ++i) to[i] = weights[(o * in + i) * 9 + pixel];
      }
    });
    packed.version = convolution.weight.version;
  }
  return packed.unpacked.data();
}

const kernels::PackedWeights& PackedParameters::convolution_transposed(const ops::Conv3x3& convolution, bool odd_row,
                                                                       bool odd_column) {
  const std::scoped_lock lock(gradients_mutex_);
  const std::shared_ptr<GradientForms> forms = gradient_forms();
  const float* pixels = convolution_pixels(*forms, convolution);
  bool stale = false;
  Entry& packed = entry(forms->convolutions_transposed[static_cast<std::size_t>(2 * odd_row + odd_column)],
                        convolution.weight, stale);
  if (stale) {
    const auto out = static_cast<std::int32_t>(convolution.weight.dims[0]);
    const auto in = static_cast<std::int32_t>(convolution.weight.dims[1]);
    std::vector<const float*> taps;  // in the order of convolution.cc's: the kernel's last row is the first output's
    for (const int row : odd_row ? std::vector<int>{2, 0} : std::vector<int>{1}) {
      for (const int column : odd_column ? std::vector<int>{2, 0} : std::vector<int>{1}) {
        taps.push_back(pixels + std::int64_t{3 * row + column} * out * in);
      }
    }
    kernels::allocate(nullptr, in, static_cast<std::int32_t>(taps.size()), out, packed.weights, precision_,
                      &forms->arena);
    pack_transposed(taps, packed.weights);
    packed.version = convolution.weight.version;
  }
  return packed.weights;
}

void PackedParameters::pack_transposed(std::span<const float* const> taps, kernels::PackedWeights& packed) {
  pool_.parallel_for(kernels::panel_count(packed.columns), [&](std::int64_t panel, int) {
    kernels::pack_panel_transposed(taps, packed, static_cast<std::int32_t>(panel));
  });
}

const float* PackedParameters::depthwise_flipped(const ops::Parameter& weight) {
  const std::scoped_lock lock(gradients_mutex_);
  const std::shared_ptr<GradientForms> forms = gradient_forms();
  bool stale = false;
  Entry& packed = entry(forms->transposed, weight, stale);
  if (stale) {
    const Tensor source = source_of(weight);
    const float* values = source.values().data();
    const std::int64_t channels = weight.dims[0];
    if (packed.unpacked.size() == 0) packed.unpacked = kernels::AlignedBuffer(9 * channels, forms->arena);
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t tap = 0; tap < 9; ++tap) packed.unpacked.data()[tap * channels + c] = values[c * 9 + 8 - tap];
    }
    packed.version = weight.version;
  }
  return packed.unpacked.data();
}

Tensor PackedParameters::source_of(const ops::Parameter& parameter) const {
  if (shared_) return unpack(parameter);
  check_values(parameter);
  return ops::to_f32({parameter.tensor, parameter.scales});
}

namespace {

Tensor unpack_i8(const ops::Parameter& parameter, const kernels::PackedWeights& packed) {
  const std::int64_t size = element_count(parameter.dims);
  const auto integers = std::make_shared<std::vector<std::int8_t>>(static_cast<std::size_t>(size));
  kernels::unpack_i8_weights(packed, integers->data());
  if (parameter.role == ops::Role::kConvolution) *integers = order_by_channel(*integers, parameter.dims[1]);
  const auto channels = static_cast<std::size_t>(packed.columns);
  return ops::to_f32({Tensor(DType::kI8, parameter.dims, integers, std::as_bytes(std::span(*integers))),
                      Tensor::from_values({packed.columns}, std::span(packed.scales.data(), channels))});
}

}  // namespace

Tensor PackedParameters::unpack(const ops::Parameter& parameter) const {
  const auto id = static_cast<std::size_t>(parameter.id);
  if (parameter.id < 0 || id >= entries_.size() || entries_[id].version != parameter.version) {
    fail("[native] parameter \"{}\" is not packed", parameter.name);
  }
  const Entry& packed = entries_[id];
  if (packed.weights.is_i8()) return unpack_i8(parameter, packed.weights);
  Tensor tensor(DType::kF32, parameter.dims);
  float* const to = tensor.mutable_values().data();
  switch (parameter.role) {
    case ops::Role::kLinear:
    case ops::Role::kPointwise: kernels::unpack_weights(packed.weights, to); break;
    case ops::Role::kConvolution: {
      std::vector<float> by_pixel(static_cast<std::size_t>(tensor.size()));
      kernels::unpack_weights(packed.weights, by_pixel.data());
      std::ranges::copy(order_by_channel(by_pixel, parameter.dims[1]), to);
      break;
    }
    case ops::Role::kDepthwise: {
      const std::int64_t channels = parameter.dims[0];
      for (std::int64_t i = 0; i < tensor.size(); ++i) to[i] = packed.unpacked.data()[i % 9 * channels + i / 9];
      break;
    }
    case ops::Role::kBiasTable:
      kernels::unpack_bias(packed.bias, static_cast<std::int32_t>(parameter.dims[1]), to);
      break;
    default: fail("[native] parameter \"{}\" has no packed form", parameter.name);
  }
  return tensor;
}

std::int64_t PackedParameters::bytes() const {
  std::int64_t floats = 0;
  const auto add = [&](const std::deque<Entry>& entries) {
    for (const Entry& entry : entries) {
      floats += entry.weights.panels.size() + entry.weights.bias.size() + entry.weights.scales.size() +
                entry.bias.tables.size() + entry.unpacked.size();
    }
  };
  add(entries_);
  const std::scoped_lock lock(gradients_mutex_);
  if (const std::shared_ptr<GradientForms> forms = gradient_forms_.lock()) {
    add(forms->transposed);
    std::ranges::for_each(forms->convolutions_transposed, add);
  }
  return floats * static_cast<std::int64_t>(sizeof(float));
}

}  // namespace gcvit::native
