// SPDX-License-Identifier: Apache-2.0
// The index of a sharded model, alone and beside two shards whose four tensors are "a" to "d"; or, where it names HDF5 files,
// that of Keras' shards, alone.
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/target.h"
#include "base/tensor.h"
#include "formats/safetensors.h"
#include "formats/sharded_safetensors.h"

namespace gcvit::fuzz {
namespace {

/// Two shards.
void write_shards(const Folder& folder) {
  const auto tensor = [](const char* name) {
    return formats::NamedTensor{name, Tensor::from_values({2}, std::vector<float>{1.0f, 2.0f})};
  };
  const formats::NamedTensor first[] = {tensor("a"), tensor("b")};
  const formats::NamedTensor second[] = {tensor("c"), tensor("d")};
  formats::write_safetensors(folder / "1.safetensors", first, {});
  formats::write_safetensors(folder / "2.safetensors", second, {});
}

void run(const Input& input, Budget&) {
  static const Folder folder;
  static const bool written = (write_shards(folder), true);
  expect(written, "two shards");
  const bool keras = input.text().find(".h5") != std::string_view::npos;
  const auto kind = keras ? formats::ShardKind::kKeras : formats::ShardKind::kSafetensors;
  for (const auto& [shard, name] : formats::parse_shard_index(input.bytes, "fuzz", kind)) {
    expect(shard.find('/') == std::string::npos && !shard.starts_with('.'), "a shard in the index's own folder");
  }
  if (keras) return;
  const std::string index = folder.write(formats::kShardIndexName, input.text());
  const formats::RawFile raw = formats::read_sharded_safetensors(index);
  expect(raw.tensors.size() <= 4, "each tensor once");
}

const Registration registration({.name = "shard_index_fuzz", .run = run, .mutate = mutate_json});

}  // namespace
}  // namespace gcvit::fuzz
