// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gcvit::hub {

/// What all official weights are published under.
constexpr std::string_view kLicence = "CC BY-NC-SA 4.0";

/// A weight file that the authors of an implementation publish.
struct OfficialFile {
  std::string name;       ///< gcvit_VARIANT.PRODUCER, e.g. "gcvit_xxtiny.keras"
  std::string url;        ///< always https
  std::string file_name;  ///< the last part of the URL; no two files share one
  std::uint64_t size;     ///< in bytes; 0 where it isn't published
  std::string sha256;     ///< as many of its first digits as are published, often none
};

/// All of them, by variant from the smallest, then Keras, timm, NVlabs.
const std::vector<OfficialFile>& official_files();

/// The file of a name. "gcvit_xxtiny" without a producer means the Keras file that the Keras example loads; where it
/// loads none, the NVlabs one.
std::optional<OfficialFile> find_official(std::string_view name);

}  // namespace gcvit::hub
