// SPDX-License-Identifier: Apache-2.0
// An ONNX graph while it is being written: nodes, initialisers and shapes by name, each name once.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <onnx/onnx_pb.h>

#include "base/tensor.h"

namespace gcvit::onnx {

/// The shape of what flows between nodes: its first axis counts for one image, so that {49, 64} is [N*49, 64].
using Axes = std::vector<std::int64_t>;

using Attribute =
    std::pair<std::string_view, std::variant<std::int64_t, float, const char*, std::vector<std::int64_t>>>;

class Graph {
 public:
  /// No initialiser may take the whole over `largest_file` bytes.
  explicit Graph(std::int64_t largest_file) : largest_file_(largest_file) {}

  /// Declares the input `name`: float32 [N, axes...] but for its first axis, which is 1.
  void input(const std::string& name, const Axes& axes);
  /// Names the value `value` `name` from here on and declares it as an output.
  void output(const std::string& value, const std::string& name);

  /// Adds a node with one output. `name`, with a number behind it when it is taken, is the name of both; returns it.
  /// No `axes`: the output isn't float or has no batch axis, and its shape isn't written.
  std::string add(std::string_view op, const std::string& name, const std::vector<std::string>& inputs,
                  const Axes& axes, const std::vector<Attribute>& attributes = {});

  /// What `value` was before it was given other axes; `value` itself when it wasn't.
  const std::string& before_reshape(const std::string& value) const;

  /// Appends floats to an initialiser.
  using Append = std::function<void(std::span<const float>)>;
  /// An initialiser that `fill` writes piece by piece; one that is there already stays. Returns `name`. Throws `Error`
  /// when the file would become too large.
  std::string initialiser(const std::string& name, const Dims& dims, const std::function<void(const Append&)>& fill);
  std::string initialiser(const std::string& name, const Dims& dims, std::span<const float> values);
  /// Constants, shared by all who want the same.
  std::string scalar(const std::string& name, float value);
  std::string integers(std::string_view name, const std::vector<std::int64_t>& values);
  std::string indices(const std::string& name, const Dims& dims, std::span<const std::int32_t> values);
  std::string integers8(const std::string& name, const Dims& dims, std::span<const std::int8_t> values);

  /// The graph with all shapes, without what nothing uses; nothing may be added afterwards.
  ::onnx::GraphProto finish(const std::string& name);

 private:
  std::string unique(const std::string& name);
  void remove_unused();
  /// A new initialiser, or null when `name` is there already.
  ::onnx::TensorProto* new_initialiser(const std::string& name, std::span<const std::int64_t> dims,
                                       ::onnx::TensorProto::DataType type, std::int64_t element_size);

  ::onnx::GraphProto graph_;
  std::set<std::string> names_;  ///< of nodes and values
  std::set<std::string> initialisers_;  ///< theirs
  std::map<std::string, Axes> shapes_;  ///< of node outputs
  std::map<std::string, std::string> before_reshape_;
  std::int64_t largest_file_;
  std::int64_t bytes_ = 0;  ///< of all initialisers
};

}  // namespace gcvit::onnx
