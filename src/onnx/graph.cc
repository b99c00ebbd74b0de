// SPDX-License-Identifier: Apache-2.0
#include "onnx/graph.h"

#include <algorithm>

#include "base/error.h"

namespace gcvit::onnx {
namespace {

void describe(::onnx::ValueInfoProto& info, const std::string& name, const Axes& axes) {
  info.set_name(name);
  auto& tensor = *info.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(::onnx::TensorProto::FLOAT);
  auto& shape = *tensor.mutable_shape();
  shape.add_dim()->set_dim_param(axes.at(0) == 1 ? "N" : fmt::format("N*{}", axes[0]));
  for (std::size_t axis = 1; axis < axes.size(); ++axis) shape.add_dim()->set_dim_value(axes[axis]);
}

void set(::onnx::AttributeProto& attribute, std::int64_t value) {
  attribute.set_type(::onnx::AttributeProto::INT);
  attribute.set_i(value);
}
void set(::onnx::AttributeProto& attribute, float value) {
  attribute.set_type(::onnx::AttributeProto::FLOAT);
  attribute.set_f(value);
}
void set(::onnx::AttributeProto& attribute, const char* value) {
  attribute.set_type(::onnx::AttributeProto::STRING);
  attribute.set_s(value);
}
void set(::onnx::AttributeProto& attribute, const std::vector<std::int64_t>& values) {
  attribute.set_type(::onnx::AttributeProto::INTS);
  for (const std::int64_t value : values) attribute.add_ints(value);
}

template <typename T>
void append(std::string& bytes, std::span<const T> values) {
  bytes.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
}

}  // namespace

std::string Graph::unique(const std::string& name) {
  std::string result = name;
  for (int number = 2; initialisers_.contains(result) || !names_.insert(result).second; ++number) {
    result = fmt::format("{}_{}", name, number);
  }
  return result;
}

void Graph::input(const std::string& name, const Axes& axes) {
  names_.insert(name);
  describe(*graph_.add_input(), name, axes);
}

void Graph::output(const std::string& value, const std::string& name) {
  for (::onnx::NodeProto& node : *graph_.mutable_node()) {
    for (std::string& input : *node.mutable_input()) {
      if (input == value) input = name;
    }
    if (node.output(0) == value) node.set_output(0, name);
  }
  describe(*graph_.add_output(), name, shapes_.at(value));
  shapes_.erase(value);
}

std::string Graph::add(std::string_view op, const std::string& name, const std::vector<std::string>& inputs,
                       const Axes& axes, const std::vector<Attribute>& attributes) {
  const std::string output = unique(name);
  ::onnx::NodeProto& node = *graph_.add_node();
  node.set_op_type(std::string(op));
  node.set_name(output);
  for (const std::string& input : inputs) node.add_input(input);
  node.add_output(output);
  for (const auto& [key, value] : attributes) {
    ::onnx::AttributeProto& attribute = *node.add_attribute();
    attribute.set_name(std::string(key));
    std::visit([&](const auto& content) { set(attribute, content); }, value);
  }
  if (!axes.empty()) shapes_[output] = axes;
  if (op == "Reshape") before_reshape_[output] = before_reshape(inputs[0]);
  return output;
}

const std::string& Graph::before_reshape(const std::string& value) const {
  const auto found = before_reshape_.find(value);
  return found == before_reshape_.end() ? value : found->second;
}

::onnx::TensorProto* Graph::new_initialiser(const std::string& name, std::span<const std::int64_t> dims,
                                            ::onnx::TensorProto::DataType type, std::int64_t element_size) {
  if (!initialisers_.insert(name).second) return nullptr;
  const std::int64_t bytes = element_count(dims) * element_size;
  if (bytes > largest_file_ - bytes_) {
    fail("[onnx] \"{}\": with it the weights pass {} bytes, the most that an ONNX file can hold", name, largest_file_);
  }
  bytes_ += bytes;
  ::onnx::TensorProto* tensor = graph_.add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(type);
  for (const std::int64_t dim : dims) tensor->add_dims(dim);
  tensor->mutable_raw_data()->reserve(static_cast<std::size_t>(bytes));
  return tensor;
}

std::string Graph::initialiser(const std::string& name, const Dims& dims,
                               const std::function<void(const Append&)>& fill) {
  if (::onnx::TensorProto* tensor = new_initialiser(name, dims, ::onnx::TensorProto::FLOAT, sizeof(float))) {
    std::string& bytes = *tensor->mutable_raw_data();
    fill([&](std::span<const float> values) { append(bytes, values); });
  }
  return name;
}

std::string Graph::initialiser(const std::string& name, const Dims& dims, std::span<const float> values) {
  return initialiser(name, dims, [&](const Append& append_values) { append_values(values); });
}

std::string Graph::scalar(const std::string& name, float value) { return initialiser(name, {}, std::span(&value, 1)); }

std::string Graph::integers(std::string_view name, const std::vector<std::int64_t>& values) {
  const std::string full_name = fmt::format("{}[{}]", name, fmt::join(values, ","));
  const Dims dims{static_cast<std::int64_t>(values.size())};
  if (::onnx::TensorProto* tensor =
          new_initialiser(full_name, dims, ::onnx::TensorProto::INT64, sizeof(std::int64_t))) {
    append(*tensor->mutable_raw_data(), std::span<const std::int64_t>(values));
  }
  return full_name;
}

std::string Graph::indices(const std::string& name, const Dims& dims, std::span<const std::int32_t> values) {
  if (::onnx::TensorProto* tensor = new_initialiser(name, dims, ::onnx::TensorProto::INT32, sizeof(std::int32_t))) {
    append(*tensor->mutable_raw_data(), values);
  }
  return name;
}

std::string Graph::integers8(const std::string& name, const Dims& dims, std::span<const std::int8_t> values) {
  if (::onnx::TensorProto* tensor = new_initialiser(name, dims, ::onnx::TensorProto::INT8, sizeof(std::int8_t))) {
    append(*tensor->mutable_raw_data(), values);
  }
  return name;
}

void Graph::remove_unused() {
  std::set<std::string> used;
  for (const ::onnx::ValueInfoProto& output : graph_.output()) used.insert(output.name());
  // From the last node to the first: what a node uses was made before it.
  for (int i = graph_.node_size() - 1; i >= 0; --i) {
    const ::onnx::NodeProto& node = graph_.node(i);
    if (used.contains(node.output(0))) {
      used.insert(node.input().begin(), node.input().end());
    } else {
      shapes_.erase(node.output(0));
      graph_.mutable_node()->DeleteSubrange(i, 1);
    }
  }
  auto& initialisers = *graph_.mutable_initializer();
  const auto unused = [&](const ::onnx::TensorProto& tensor) { return !used.contains(tensor.name()); };
  initialisers.erase(std::remove_if(initialisers.begin(), initialisers.end(), unused), initialisers.end());
}

::onnx::GraphProto Graph::finish(const std::string& name) {
  remove_unused();
  graph_.set_name(name);
  for (const auto& [value, axes] : shapes_) describe(*graph_.add_value_info(), value, axes);
  return std::move(graph_);
}

}  // namespace gcvit::onnx
