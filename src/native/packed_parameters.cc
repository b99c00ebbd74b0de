// SPDX-License-Identifier: Apache-2.0
#include "native/packed_parameters.h"

#include <algorithm>

#include "base/error.h"

namespace gcvit::native {

kernels::Precision kernel_precision(ops::Precision precision) {
  return precision == ops::Precision::kBf16 ? kernels::Precision::kBf16 : kernels::Precision::kF32;
}

const float* values_of(const ops::Parameter& parameter) {
  if (parameter.tensor.empty()) fail("[native] parameter \"{}\" has no values: load or initialise it", parameter.name);
  if (parameter.tensor.size() != element_count(parameter.dims)) {
    fail("[native] parameter \"{}\": expected {}, found {}", parameter.name, to_string(parameter.dims),
         to_string(parameter.tensor.dims()));
  }
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
  transposed_.clear();
  for (std::deque<Entry>& entries : convolutions_transposed_) entries.clear();
  arena_ = {};
}

void PackedParameters::share() {
  shared_ = true;
  unpacked_ = {};
}

void PackedParameters::pack(const float* weights, const std::optional<ops::Parameter>& bias, std::int64_t columns,
                            std::int32_t taps, std::int64_t k, kernels::PackedWeights& packed) {
  kernels::allocate(bias ? values_of(*bias) : nullptr, static_cast<std::int32_t>(columns), taps,
                    static_cast<std::int32_t>(k), packed, precision_, &arena_);
  pool_.parallel_for(kernels::panel_count(packed.columns), [&](std::int64_t panel, int) {
    kernels::pack_panels(weights, packed, static_cast<std::int32_t>(panel), static_cast<std::int32_t>(panel) + 1);
  });
}

const kernels::PackedWeights& PackedParameters::linear(const ops::Linear& linear) {
  bool stale = false;
  Entry& packed = entry(linear.weight, stale);
  bool bias_stale = false;
  Entry* const bias = linear.bias ? &entry(*linear.bias, bias_stale) : nullptr;
  if (stale || bias_stale) {
    pack(values_of(linear.weight), linear.bias, linear.weight.dims[0], 1, linear.weight.dims[1], packed.weights);
    packed.version = linear.weight.version;
    if (bias != nullptr) bias->version = linear.bias->version;
  }
  return packed.weights;
}

const kernels::PackedWeights& PackedParameters::convolution(const ops::Conv3x3& convolution) {
  bool stale = false;
  Entry& packed = entry(convolution.weight, stale);
  bool bias_stale = false;
  Entry* const bias = convolution.bias ? &entry(*convolution.bias, bias_stale) : nullptr;
  if (stale || bias_stale) {
    const float* weights = values_of(convolution.weight);
    const std::int64_t out = convolution.weight.dims[0];
    const std::int64_t in = convolution.weight.dims[1];
    // [out][in][9] -> [out][9][in]
    std::vector<float>& by_pixel = unpacked_;
    by_pixel.resize(static_cast<std::size_t>(out * in * 9));
    pool_.parallel_for(out, [&](std::int64_t o, int) {
      for (std::int64_t i = 0; i < in; ++i) {
        for (std::int64_t pixel = 0; pixel < 9; ++pixel) {
          by_pixel[static_cast<std::size_t>((o * 9 + pixel) * in + i)] = weights[(o * in + i) * 9 + pixel];
        }
      }
    });
    pack(by_pixel.data(), convolution.bias, out, 3, 3 * in, packed.weights);
    packed.version = convolution.weight.version;
    if (bias != nullptr) bias->version = convolution.bias->version;
  }
  return packed.weights;
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
  bool stale = false;
  Entry& packed = entry(transposed_, linear.weight, stale);
  if (stale) {
    const Tensor source = source_of(linear.weight);
    const float* weights = source.values().data();
    kernels::allocate(nullptr, static_cast<std::int32_t>(linear.weight.dims[1]), 1,
                      static_cast<std::int32_t>(linear.weight.dims[0]), packed.weights, precision_, &arena_);
    pack_transposed({&weights, 1}, packed.weights);
    packed.version = linear.weight.version;
  }
  return packed.weights;
}

const float* PackedParameters::convolution_pixels(const ops::Conv3x3& convolution) {
  bool stale = false;
  Entry& packed = entry(transposed_, convolution.weight, stale);
  if (stale) {
    const Tensor source = source_of(convolution.weight);
    const float* weights = source.values().data();
    const std::int64_t out = convolution.weight.dims[0];
    const std::int64_t in = convolution.weight.dims[1];
    if (packed.unpacked.size() == 0) packed.unpacked = kernels::AlignedBuffer(9 * out * in, arena_);
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
  const float* pixels = convolution_pixels(convolution);
  bool stale = false;
  Entry& packed =
      entry(convolutions_transposed_[static_cast<std::size_t>(2 * odd_row + odd_column)], convolution.weight, stale);
  if (stale) {
    const auto out = static_cast<std::int32_t>(convolution.weight.dims[0]);
    const auto in = static_cast<std::int32_t>(convolution.weight.dims[1]);
    std::vector<const float*> taps;  // in the order of convolution.cc's: the kernel's last row is the first output's
    for (const int row : odd_row ? std::vector<int>{2, 0} : std::vector<int>{1}) {
      for (const int column : odd_column ? std::vector<int>{2, 0} : std::vector<int>{1}) {
        taps.push_back(pixels + std::int64_t{3 * row + column} * out * in);
      }
    }
    kernels::allocate(nullptr, in, static_cast<std::int32_t>(taps.size()), out, packed.weights, precision_, &arena_);
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
  bool stale = false;
  Entry& packed = entry(transposed_, weight, stale);
  if (stale) {
    const Tensor source = source_of(weight);
    const float* values = source.values().data();
    const std::int64_t channels = weight.dims[0];
    if (packed.unpacked.size() == 0) packed.unpacked = kernels::AlignedBuffer(9 * channels, arena_);
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t tap = 0; tap < 9; ++tap) packed.unpacked.data()[tap * channels + c] = values[c * 9 + 8 - tap];
    }
    packed.version = weight.version;
  }
  return packed.unpacked.data();
}

Tensor PackedParameters::source_of(const ops::Parameter& parameter) const {
  if (!parameter.tensor.empty() || !shared_) {
    values_of(parameter);  // refuses what has none
    return parameter.tensor;
  }
  return unpack(parameter);
}

Tensor PackedParameters::unpack(const ops::Parameter& parameter) const {
  const auto id = static_cast<std::size_t>(parameter.id);
  if (parameter.id < 0 || id >= entries_.size() || entries_[id].version != parameter.version) {
    fail("[native] parameter \"{}\" is not packed", parameter.name);
  }
  const Entry& packed = entries_[id];
  Tensor tensor(DType::kF32, parameter.dims);
  float* const to = tensor.mutable_values().data();
  switch (parameter.role) {
    case ops::Role::kLinear:
    case ops::Role::kPointwise: kernels::unpack_weights(packed.weights, to); break;
    case ops::Role::kConvolution: {
      std::vector<float> by_pixel(static_cast<std::size_t>(tensor.size()));  // [out][9][in]
      kernels::unpack_weights(packed.weights, by_pixel.data());
      const std::int64_t in = parameter.dims[1];
      for (std::int64_t i = 0; i < tensor.size(); ++i) {
        const std::int64_t out = i / (9 * in);
        to[i] = by_pixel[static_cast<std::size_t>((out * 9 + i % 9) * in + i / 9 % in)];
      }
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
      floats +=
          entry.weights.panels.size() + entry.weights.bias.size() + entry.bias.tables.size() + entry.unpacked.size();
    }
  };
  add(entries_);
  add(transposed_);
  std::ranges::for_each(convolutions_transposed_, add);
  return floats * static_cast<std::int64_t>(sizeof(float));
}

}  // namespace gcvit::native
