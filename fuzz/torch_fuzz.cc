// SPDX-License-Identifier: Apache-2.0
// A file of torch.save's from anywhere, in either container: archive, unpickler, tensors, then through to a model. Only
// `gcvit::Error` may come out. Seeds: tests/data/weights/torch.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

#include "gcvit/error.h"
#include "weights/load.h"
#include "weights/torch_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gcvit::weights;
  // A copy of exactly this size, aligned as a mapped file is.
  const std::shared_ptr<std::byte[]> owner(new std::byte[size]);
  if (size > 0) std::memcpy(owner.get(), data, size);
  const std::span<const std::byte> bytes(owner.get(), size);
  try {
    const bool stream = is_torch_stream({reinterpret_cast<const char*>(bytes.data()), size});
    RawFile raw = stream ? parse_torch_stream(bytes, owner, "fuzz")
                         : parse_torch_archive(ZipArchive(bytes, "fuzz"), owner, "fuzz");
    for (const NamedTensor& tensor : raw.tensors) (void)tensor.tensor.to_f32();
    (void)load_model(std::move(raw), "fuzz");
  } catch (const gcvit::Error&) {
  }
  return 0;
}
