// SPDX-License-Identifier: Apache-2.0
// From the recorded graph to a file.
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <onnx/checker.h>

#include <algorithm>
#include <exception>

#include "gcvit/version.h"
#include "onnx/state.h"
#include "base/atomic_file.h"
#include "base/error.h"

namespace gcvit::onnx {
namespace {

/// The first version of the format that knows an opset, as ONNX's releases pair them.
std::int64_t format_of(std::int32_t opset) {
  if (opset >= 25) return 13;
  if (opset == 24) return 12;
  if (opset == 23) return 11;
  if (opset >= 21) return 10;
  if (opset >= 19) return 9;
  return opset >= 15 ? 8 : 7;
}

/// Holds the model against ONNX's rules, as far as the library that is installed knows the format.
void check(::onnx::ModelProto& model) {
  const std::int64_t format = model.ir_version();
  model.set_ir_version(std::min<std::int64_t>(format, ::onnx::IR_VERSION));
  try {
    ::onnx::checker::check_model(model);
  } catch (const ::onnx::checker::ValidationError& error) {
    fail("[onnx] the graph breaks a rule of ONNX: {}", error.what());
  }
  model.set_ir_version(format);
}

/// Protobuf's way to a file that appears whole or not at all. Protobuf calls it from destructors too, so that it tells
/// of a failure without throwing and keeps the reason.
class FileStream final : public google::protobuf::io::CopyingOutputStream {
 public:
  explicit FileStream(AtomicFile& file) : file_(file) {}
  bool Write(const void* buffer, int size) override {
    try {
      file_.write(std::span(static_cast<const std::byte*>(buffer), static_cast<std::size_t>(size)));
    } catch (...) {
      thrown_ = std::current_exception();
    }
    return thrown_ == nullptr;
  }
  /// What went wrong in `Write`.
  void rethrow() const {
    if (thrown_) std::rethrow_exception(thrown_);
  }

 private:
  AtomicFile& file_;
  std::exception_ptr thrown_;
};

}  // namespace

::onnx::ModelProto OnnxBackend::State::finish(const GraphDescription& description) {
  ::onnx::ModelProto model;
  model.set_ir_version(format_of(options.opset));
  model.set_producer_name("gcvit.cpp");
  model.set_producer_version(GCVIT_VERSION);
  model.set_doc_string(description.text);
  ::onnx::OperatorSetIdProto& opset = *model.add_opset_import();
  opset.set_domain("");
  opset.set_version(options.opset);
  for (const auto& [key, value] : description.metadata) {
    ::onnx::StringStringEntryProto& entry = *model.add_metadata_props();
    entry.set_key(key);
    entry.set_value(value);
  }
  *model.mutable_graph() = graph.finish(description.name);
  const std::size_t bytes = model.ByteSizeLong();
  if (bytes > static_cast<std::size_t>(options.largest_file)) {
    fail("[onnx] expected at most {} bytes, the most that an ONNX file can hold, found {}", options.largest_file,
         bytes);
  }
  check(model);
  return model;
}

void OnnxBackend::write(const std::string& path, const GraphDescription& description) {
  AtomicFile file(path);
  const ::onnx::ModelProto model = state_->finish(description);
  FileStream stream(file);
  bool written = false;
  {
    google::protobuf::io::CopyingOutputStreamAdaptor adaptor(&stream, 1 << 20);
    written = model.SerializeToZeroCopyStream(&adaptor) && adaptor.Flush();
  }
  stream.rethrow();
  if (!written) fail("[onnx] {}: can't be written", path);
  file.commit();
}

std::string OnnxBackend::serialise(const GraphDescription& description) {
  return state_->finish(description).SerializeAsString();
}

}  // namespace gcvit::onnx
