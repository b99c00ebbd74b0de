// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "hub/catalogue.h"
#include "hub/download.h"

namespace gcvit::hub {

/// The folder of pulled files: the one that GCVIT_CACHE names, else gcvit/ in XDG_CACHE_HOME, else ~/.cache/gcvit.
std::string cache_folder();

/// Where an official file lies in a folder of downloads, or would.
std::string path_in(const std::string& folder, const OfficialFile& file);

/// The same, in the cache.
std::string path_in_cache(const OfficialFile& file);

/// The path of an official file in the cache; nothing when it was never pulled. Throws `Error` when the file there isn't
/// what was downloaded. Its size is always compared with the record; its bytes are hashed only if it was modified since
/// they last were, so that opening a model doesn't read the file twice.
std::optional<std::string> find_in_cache(const OfficialFile& file);

struct Pulled {
  std::string path;
  std::uint64_t size = 0;
  std::string sha256;
  bool downloaded = false;  ///< false if it was already there
};

/// The official file in a folder of downloads, read and checked in full, and recorded there if it was put there by hand; nothing when
/// it isn't there. Its size and SHA-256 must match those in the catalogue, if it has them, and those of an earlier download. Throws `Error`.
std::optional<Pulled> check_pulled(const OfficialFile& file, const std::string& folder, const Listener& listener);

}  // namespace gcvit::hub
