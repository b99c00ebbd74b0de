// SPDX-License-Identifier: Apache-2.0
// Runs the ONNX graphs that the backend writes, by the operators' definitions: plain loops in double precision, nothing
// shared with the code under test. A node type that is not here throws.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include <onnx/onnx_pb.h>

#include "base/error.h"
#include "base/tensor.h"

namespace gcvit::testing {

struct Array {
  Dims dims;
  std::vector<double> values;

  Array() = default;
  explicit Array(Dims shape) : dims(std::move(shape)), values(static_cast<std::size_t>(element_count(dims))) {}
  std::int64_t dim(int axis) const { return dims.at(axis < 0 ? dims.size() - std::size_t(-axis) : std::size_t(axis)); }
  /// Elements of the axes from `axis` on.
  std::int64_t inner(std::size_t axis) const {
    return element_count({dims.begin() + std::ptrdiff_t(axis), dims.end()});
  }
};

class OnnxInterpreter {
 public:
  explicit OnnxInterpreter(const ::onnx::ModelProto& model) : graph_(model.graph()) {
    for (const ::onnx::TensorProto& tensor : graph_.initializer()) arrays_[tensor.name()] = read(tensor);
  }

  Array run(const std::string& input, const Array& images, const std::string& output) {
    arrays_[input] = images;
    for (const ::onnx::NodeProto& node : graph_.node()) arrays_[node.output(0)] = compute(node);
    return arrays_.at(output);
  }
  /// A value of the last run.
  const Array& value(const std::string& name) const { return arrays_.at(name); }

 private:
  using Node = ::onnx::NodeProto;

  template <typename T>
  static void copy(const std::string& bytes, std::vector<double>& values) {
    if (bytes.size() != values.size() * sizeof(T)) fail("initialiser of {} bytes", bytes.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      T value;
      std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
      values[i] = static_cast<double>(value);
    }
  }
  static Array read(const ::onnx::TensorProto& tensor) {
    Array array(Dims(tensor.dims().begin(), tensor.dims().end()));
    switch (tensor.data_type()) {
      case ::onnx::TensorProto::FLOAT: copy<float>(tensor.raw_data(), array.values); break;
      case ::onnx::TensorProto::INT64: copy<std::int64_t>(tensor.raw_data(), array.values); break;
      case ::onnx::TensorProto::INT8: copy<std::int8_t>(tensor.raw_data(), array.values); break;
      case ::onnx::TensorProto::INT32: copy<std::int32_t>(tensor.raw_data(), array.values); break;
      default: fail("initialiser {} of type {}", tensor.name(), tensor.data_type());
    }
    return array;
  }

  static const ::onnx::AttributeProto* attribute(const Node& node, const std::string& name) {
    for (const ::onnx::AttributeProto& one : node.attribute()) {
      if (one.name() == name) return &one;
    }
    return nullptr;
  }
  static std::int64_t integer(const Node& node, const std::string& name, std::int64_t otherwise) {
    const auto* found = attribute(node, name);
    return found == nullptr ? otherwise : found->i();
  }
  static Dims integers(const Node& node, const std::string& name, const Dims& otherwise) {
    const auto* found = attribute(node, name);
    return found == nullptr ? otherwise : Dims(found->ints().begin(), found->ints().end());
  }
  const Array& input(const Node& node, int index) const { return arrays_.at(node.input(index)); }
  Dims integers(const Node& node, int index) const {
    const Array& array = input(node, index);
    return Dims(array.values.begin(), array.values.end());
  }

  Array compute(const Node& node) const {
    const std::string& op = node.op_type();
    const Array& x = input(node, 0);
    if (op == "Add") return binary(x, input(node, 1), [](double a, double b) { return a + b; });
    if (op == "Sub") return binary(x, input(node, 1), [](double a, double b) { return a - b; });
    if (op == "Mul") return binary(x, input(node, 1), [](double a, double b) { return a * b; });
    if (op == "Div") return binary(x, input(node, 1), [](double a, double b) { return a / b; });
    if (op == "Pow") return binary(x, input(node, 1), [](double a, double b) { return std::pow(a, b); });
    if (op == "Erf") return unary(x, [](double a) { return std::erf(a); });
    if (op == "Sqrt") return unary(x, [](double a) { return std::sqrt(a); });
    if (op == "Sigmoid") return unary(x, [](double a) { return 1 / (1 + std::exp(-a)); });
    if (op == "Conv") return convolution(node);
    if (op == "MaxPool") return max_pool(node);
    if (op == "GlobalAveragePool") return global_average_pool(x);
    if (op == "Gemm") return gemm(node);
    if (op == "QuantizeLinear") return quantize(node);
    if (op == "DequantizeLinear") return dequantize(node);
    if (op == "MatMul") return matmul(x, input(node, 1));
    if (op == "LayerNormalization") return layer_normalization(node);
    if (op == "ReduceMean") return mean_of_last(node);
    if (op == "Softmax") return softmax(node);
    if (op == "Reshape") return reshape(x, integers(node, 1));
    if (op == "Flatten") return reshape(x, {x.dims[0], -1});
    if (op == "Transpose") return transpose(x, integers(node, "perm", {}));
    if (op == "Pad") return pad(node);
    if (op == "Slice") return slice(node);
    if (op == "Gather") return gather(node);
    if (op == "Resize") return resize(node);
    fail("no operator {}", op);
  }

  static Array unary(Array x, const std::function<double(double)>& f) {
    std::ranges::transform(x.values, x.values.begin(), f);
    return x;
  }

  /// Calls `use` with every index of `dims`.
  static void each(const Dims& dims, const std::function<void(const Dims&)>& use) {
    Dims index(dims.size(), 0);
    for (std::int64_t left = element_count(dims); left > 0; --left) {
      use(index);
      for (std::size_t axis = dims.size(); axis-- > 0 && ++index[axis] == dims[axis];) index[axis] = 0;
    }
  }
  static std::size_t offset(const Dims& dims, const Dims& index) {
    std::int64_t place = 0;
    for (std::size_t axis = 0; axis < dims.size(); ++axis) place = place * dims[axis] + index[axis];
    return static_cast<std::size_t>(place);
  }
  static Dims broadcast(const Dims& a, const Dims& b) {
    Dims result(std::max(a.size(), b.size()), 1);
    for (const Dims* dims : {&a, &b}) {
      for (std::size_t i = 0; i < dims->size(); ++i) {
        std::int64_t& axis = result[result.size() - dims->size() + i];
        if ((*dims)[i] != 1 && axis != 1 && axis != (*dims)[i]) fail("{} against {}", to_string(a), to_string(b));
        axis = std::max(axis, (*dims)[i]);
      }
    }
    return result;
  }
  /// The place in an array of `dims` that a broadcast index reads.
  static std::size_t broadcast_offset(const Dims& dims, const Dims& index) {
    std::int64_t place = 0;
    const std::size_t missing = index.size() - dims.size();
    for (std::size_t i = 0; i < dims.size(); ++i) place = place * dims[i] + (dims[i] == 1 ? 0 : index[missing + i]);
    return static_cast<std::size_t>(place);
  }
  /// True for [1, 4, 5] and [3, 4, 5]: the small array repeats.
  static bool is_end_of(const Dims& small, const Dims& dims) {
    const auto first = std::ranges::find_if(small, [](std::int64_t dim) { return dim != 1; });
    const auto size = static_cast<std::size_t>(small.end() - first);
    return size <= dims.size() && std::equal(first, small.end(), dims.end() - static_cast<std::ptrdiff_t>(size));
  }
  static Array binary(const Array& a, const Array& b, const std::function<double(double, double)>& f) {
    Array y(broadcast(a.dims, b.dims));
    std::size_t place = 0;
    if (y.dims == a.dims && is_end_of(b.dims, a.dims)) {
      for (; place < y.values.size(); ++place) y.values[place] = f(a.values[place], b.values[place % b.values.size()]);
      return y;
    }
    each(y.dims, [&](const Dims& index) {
      y.values[place++] = f(a.values[broadcast_offset(a.dims, index)], b.values[broadcast_offset(b.dims, index)]);
    });
    return y;
  }

  static Array reshape(Array x, Dims dims) {
    std::int64_t known = 1;
    for (const std::int64_t dim : dims) known *= dim == -1 ? 1 : dim;
    const std::int64_t size = element_count(x.dims);
    for (std::int64_t& dim : dims) {
      if (dim == -1) dim = size / known;
    }
    if (element_count(dims) != size) fail("{} into {}", to_string(x.dims), to_string(dims));
    x.dims = dims;
    return x;
  }
  static Array transpose(const Array& x, const Dims& perm) {
    Dims dims;
    for (const std::int64_t axis : perm) dims.push_back(x.dim(int(axis)));
    Array y(dims);
    std::size_t place = 0;
    Dims from(perm.size());
    each(dims, [&](const Dims& index) {
      for (std::size_t i = 0; i < perm.size(); ++i) from[std::size_t(perm[i])] = index[i];
      y.values[place++] = x.values[offset(x.dims, from)];
    });
    return y;
  }
  Array pad(const Node& node) const {
    const Array& x = input(node, 0);
    const Dims pads = integers(node, 1);
    Dims dims = x.dims;
    for (std::size_t i = 0; i < dims.size(); ++i) dims[i] += pads[i] + pads[dims.size() + i];
    Array y(dims);
    std::ranges::fill(y.values, node.input_size() > 2 ? input(node, 2).values.at(0) : 0.0);
    std::size_t place = 0;
    each(x.dims, [&](Dims index) {
      for (std::size_t i = 0; i < dims.size(); ++i) index[i] += pads[i];
      y.values[offset(dims, index)] = x.values[place++];
    });
    return y;
  }
  Array slice(const Node& node) const {
    const Array& x = input(node, 0);
    const Dims starts = integers(node, 1), ends = integers(node, 2), axes = integers(node, 3);
    Dims dims = x.dims, first(x.dims.size(), 0);
    for (std::size_t i = 0; i < axes.size(); ++i) {
      dims[std::size_t(axes[i])] = ends[i] - starts[i];
      first[std::size_t(axes[i])] = starts[i];
    }
    Array y(dims);
    std::size_t place = 0;
    each(dims, [&](Dims index) {
      for (std::size_t i = 0; i < dims.size(); ++i) index[i] += first[i];
      y.values[place++] = x.values[offset(x.dims, index)];
    });
    return y;
  }
  Array gather(const Node& node) const {
    const Array& x = input(node, 0);
    const Array& index = input(node, 1);
    const auto axis = static_cast<std::size_t>(integer(node, "axis", 0));
    if (axis + 1 != x.dims.size()) fail("Gather: only the last axis");
    Dims dims(x.dims.begin(), x.dims.end() - 1);
    dims.insert(dims.end(), index.dims.begin(), index.dims.end());
    Array y(dims);
    std::size_t place = 0;
    for (std::size_t row = 0; row < x.values.size(); row += std::size_t(x.dim(-1))) {
      for (const double i : index.values) y.values[place++] = x.values.at(row + static_cast<std::size_t>(i));
    }
    return y;
  }

  /// Cubic, half-pixel centres, the edge repeated; of maps.
  Array resize(const Node& node) const {
    if (attribute(node, "mode")->s() != "cubic" ||
        attribute(node, "coordinate_transformation_mode")->s() != "half_pixel") {
      fail("Resize: only cubic and half_pixel");
    }
    const double a = double(attribute(node, "cubic_coeff_a")->f());
    const auto weight = [a](double distance) {
      const double d = std::abs(distance);
      if (d >= 2.0) return 0.0;
      return d < 1.0 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    };
    const Array& x = input(node, 0);
    const Array& scales = input(node, 2);
    Dims dims;
    for (std::size_t i = 0; i < 4; ++i)
      dims.push_back(std::int64_t(std::floor(scales.values.at(i) * double(x.dims.at(i)))));
    Array y(dims);
    std::size_t place = 0;
    each(dims, [&](const Dims& at) {
      const double row = (double(at[2]) + 0.5) / scales.values[2] - 0.5;
      const double column = (double(at[3]) + 0.5) / scales.values[3] - 0.5;
      double sum = 0.0;
      for (auto r = std::int64_t(std::floor(row)) - 1; double(r) < row + 2.0; ++r) {
        for (auto c = std::int64_t(std::floor(column)) - 1; double(c) < column + 2.0; ++c) {
          const Dims from{at[0], at[1], std::clamp<std::int64_t>(r, 0, x.dim(2) - 1),
                          std::clamp<std::int64_t>(c, 0, x.dim(3) - 1)};
          sum += weight(row - double(r)) * weight(column - double(c)) * x.values[offset(x.dims, from)];
        }
      }
      y.values[place++] = sum;
    });
    return y;
  }

  static std::int64_t output_side(std::int64_t side, std::int64_t kernel, std::int64_t pads, std::int64_t stride) {
    return (side + pads - kernel) / stride + 1;
  }
  Array convolution(const Node& node) const {
    const Array& x = input(node, 0);
    const Array& w = input(node, 1);
    const Dims strides = integers(node, "strides", {1, 1}), pads = integers(node, "pads", {0, 0, 0, 0});
    const std::int64_t group = integer(node, "group", 1), in = w.dim(1), out = w.dim(0), per_group = out / group;
    if (in * group != x.dim(1)) fail("Conv: {} on {}", to_string(w.dims), to_string(x.dims));
    Array y({x.dim(0), out, output_side(x.dim(2), w.dim(2), pads[0] + pads[2], strides[0]),
             output_side(x.dim(3), w.dim(3), pads[1] + pads[3], strides[1])});
    std::size_t place = 0;
    each(y.dims, [&](const Dims& at) {
      double sum = node.input_size() > 2 ? input(node, 2).values[std::size_t(at[1])] : 0.0;
      const std::int64_t rows = w.dim(2), columns = w.dim(3);
      for (std::int64_t c = 0; c < in; ++c) {
        const std::int64_t plane = (at[0] * x.dim(1) + at[1] / per_group * in + c) * x.dim(2);
        for (std::int64_t tap = 0; tap < rows * columns; ++tap) {
          const std::int64_t row = at[2] * strides[0] - pads[0] + tap / columns;
          const std::int64_t column = at[3] * strides[1] - pads[1] + tap % columns;
          if (row < 0 || row >= x.dim(2) || column < 0 || column >= x.dim(3)) continue;
          sum += x.values[std::size_t((plane + row) * x.dim(3) + column)] *
                 w.values[std::size_t((at[1] * in + c) * rows * columns + tap)];
        }
      }
      y.values[place++] = sum;
    });
    return y;
  }
  Array max_pool(const Node& node) const {
    const Array& x = input(node, 0);
    const Dims kernel = integers(node, "kernel_shape", {}), strides = integers(node, "strides", {1, 1});
    const Dims pads = integers(node, "pads", {0, 0, 0, 0});
    Array y({x.dim(0), x.dim(1), output_side(x.dim(2), kernel[0], pads[0] + pads[2], strides[0]),
             output_side(x.dim(3), kernel[1], pads[1] + pads[3], strides[1])});
    std::size_t place = 0;
    each(y.dims, [&](const Dims& at) {
      double largest = -std::numeric_limits<double>::infinity();
      each(kernel, [&](const Dims& tap) {
        const std::int64_t row = at[2] * strides[0] - pads[0] + tap[0];
        const std::int64_t column = at[3] * strides[1] - pads[1] + tap[1];
        if (row < 0 || row >= x.dim(2) || column < 0 || column >= x.dim(3)) return;
        largest = std::max(largest, x.values[offset(x.dims, {at[0], at[1], row, column})]);
      });
      y.values[place++] = largest;
    });
    return y;
  }
  static Array global_average_pool(const Array& x) {
    Array y({x.dim(0), x.dim(1), 1, 1});
    const std::size_t size = std::size_t(x.inner(2));
    for (std::size_t i = 0; i < x.values.size(); ++i) y.values[i / size] += x.values[i] / double(size);
    return y;
  }

  /// Symmetric int8, one scale in all.
  Array quantize(const Node& node) const {
    const double scale = input(node, 1).values.at(0);
    if (input(node, 1).values.size() != 1 || scale <= 0.0 || input(node, 2).values != std::vector<double>{0.0}) {
      fail("QuantizeLinear: only one scale above zero, and the zero point 0");
    }
    return unary(input(node, 0), [scale](double a) { return std::clamp(std::nearbyint(a / scale), -128.0, 127.0); });
  }
  /// One scale in all, or one each along the first axis.
  Array dequantize(const Node& node) const {
    Array y = input(node, 0);
    const Array& scales = input(node, 1);
    const bool by_axis = !scales.dims.empty();
    if (by_axis && (integer(node, "axis", 1) != 0 || scales.dims != Dims{y.dims.at(0)})) {
      fail("DequantizeLinear: expected a scale for each of the first axis");
    }
    const auto size = by_axis ? static_cast<std::size_t>(y.inner(1)) : y.values.size();
    for (std::size_t i = 0; i < y.values.size(); ++i) y.values[i] *= scales.values.at(i / size);
    return y;
  }
  Array gemm(const Node& node) const {
    const Array& a = input(node, 0);
    const Array& b = input(node, 1);
    if (integer(node, "transB", 0) != 1 || a.dims.size() != 2 || a.dim(1) != b.dim(1)) {
      fail("Gemm: {} with {}", to_string(a.dims), to_string(b.dims));
    }
    Array y({a.dim(0), b.dim(0)});
    each(y.dims, [&](const Dims& at) {
      double sum = node.input_size() > 2 ? input(node, 2).values.at(std::size_t(at[1])) : 0.0;
      const double* from_a = a.values.data() + at[0] * a.dim(1);
      const double* from_b = b.values.data() + at[1] * a.dim(1);
      for (std::int64_t k = 0; k < a.dim(1); ++k) sum += from_a[k] * from_b[k];
      y.values[offset(y.dims, at)] = sum;
    });
    return y;
  }
  static Array matmul(const Array& a, const Array& b) {
    if (a.dim(-1) != b.dim(-2)) fail("MatMul: {} with {}", to_string(a.dims), to_string(b.dims));
    const Dims a_batch(a.dims.begin(), a.dims.end() - 2), b_batch(b.dims.begin(), b.dims.end() - 2);
    Dims dims = broadcast(a_batch, b_batch);
    const Dims batch = dims;
    const std::int64_t rows = a.dim(-2), inner = a.dim(-1), columns = b.dim(-1);
    dims.insert(dims.end(), {rows, columns});
    Array y(dims);
    std::size_t place = 0;
    each(batch, [&](const Dims& index) {
      const double* from_a = a.values.data() + broadcast_offset(a_batch, index) * std::size_t(rows * inner);
      const double* from_b = b.values.data() + broadcast_offset(b_batch, index) * std::size_t(inner * columns);
      for (std::int64_t row = 0; row < rows; ++row) {
        for (std::int64_t column = 0; column < columns; ++column) {
          double sum = 0.0;
          for (std::int64_t k = 0; k < inner; ++k) sum += from_a[row * inner + k] * from_b[k * columns + column];
          y.values[place++] = sum;
        }
      }
    });
    return y;
  }

  /// Calls `use(row, size)` for each row of the last axis.
  static void each_row(Array& x, const std::function<void(double*, std::size_t)>& use) {
    const auto size = static_cast<std::size_t>(x.dim(-1));
    for (std::size_t row = 0; row < x.values.size(); row += size) use(x.values.data() + row, size);
  }
  Array layer_normalization(const Node& node) const {
    if (integer(node, "axis", -1) != -1) fail("LayerNormalization: only the last axis");
    const auto* epsilon = attribute(node, "epsilon");
    Array y = input(node, 0);
    each_row(y, [&](double* row, std::size_t size) {
      double mean = 0.0, variance = 0.0;
      for (std::size_t i = 0; i < size; ++i) mean += row[i] / double(size);
      for (std::size_t i = 0; i < size; ++i) variance += (row[i] - mean) * (row[i] - mean) / double(size);
      const double deviation = std::sqrt(variance + (epsilon == nullptr ? 1e-5 : double(epsilon->f())));
      for (std::size_t i = 0; i < size; ++i) {
        row[i] = (row[i] - mean) / deviation * input(node, 1).values.at(i) + input(node, 2).values.at(i);
      }
    });
    return y;
  }
  Array mean_of_last(const Node& node) const {
    if (integers(node, "axes", {}) != Dims{-1} || integer(node, "keepdims", 1) != 1)
      fail("ReduceMean: only the last axis");
    Array x = input(node, 0);
    Dims dims = x.dims;
    dims.back() = 1;
    Array y(dims);
    std::size_t place = 0;
    each_row(x, [&](double* row, std::size_t size) {
      for (std::size_t i = 0; i < size; ++i) y.values[place] += row[i] / double(size);
      ++place;
    });
    return y;
  }
  Array softmax(const Node& node) const {
    if (integer(node, "axis", -1) != -1) fail("Softmax: only the last axis");
    Array y = input(node, 0);
    each_row(y, [](double* row, std::size_t size) {
      const double largest = *std::max_element(row, row + size);
      double sum = 0.0;
      for (std::size_t i = 0; i < size; ++i) sum += row[i] = std::exp(row[i] - largest);
      for (std::size_t i = 0; i < size; ++i) row[i] /= sum;
    });
    return y;
  }

  const ::onnx::GraphProto& graph_;
  std::map<std::string, Array> arrays_;
};

}  // namespace gcvit::testing
