// SPDX-License-Identifier: Apache-2.0
// Files that are made of parts, taken apart and put together with the lengths and checksums that belong to the parts.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/mutate.h"

namespace gcvit::fuzz {

struct Part {
  std::string name;  ///< what its format calls it by, or has in front of it
  std::string bytes;
};
using Parts = std::vector<Part>;

struct Format {
  /// None for what isn't of this format.
  std::optional<Parts> (*split)(std::string_view file);
  std::string (*join)(const Parts& parts);
};

/// Entries by their names, stored; data begin at multiples of 64, as torch.save's do.
extern const Format kZip;
/// One part, named by the header's JSON, that has the tensors' bytes.
extern const Format kSafetensors;
/// The magic number with the version, and behind it the header ("header") and the values ("values").
extern const Format kNpy;
/// Chunks by their types; the picture's data in one part "pixels", inflated.
extern const Format kPng;
/// A WebP picture's chunks.
extern const Format kWebp;
/// Segments by their markers; what follows a scan's header in a part "scan".
extern const Format kJpeg;
/// Records without a name.
extern const Format kTfrecord;
/// Members, named by their headers.
extern const Format kTar;

using MutatePart = std::function<void(Part& part, std::size_t most, Random& random)>;

/// Changes one part, by default its bytes and now and then its name, or rearranges the parts.
void mutate_parts(std::string& file, const Format& format, std::size_t most, Random& random,
                  const MutatePart& mutate_part = nullptr);

/// A .safetensors file: its header by `mutate_json`, mostly with offsets that fit the shapes and bytes that fit the
/// offsets.
void mutate_safetensors(std::string& file, std::size_t most, Random& random);

}  // namespace gcvit::fuzz
