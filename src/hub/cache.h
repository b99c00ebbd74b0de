// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "hub/catalogue.h"
#include "hub/download.h"

namespace gcvit::hub {

/// Where pulled files lie: the folder that GCVIT_CACHE names, else gcvit/ in XDG_CACHE_HOME, else ~/.cache/gcvit.
std::string cache_folder();

/// The path of an official file in the cache; none when it was never pulled. Throws `Error` when the file there isn't
/// what was downloaded. Its size is always compared with the record; its bytes are hashed only when it was modified
/// since they last were, so that opening a model doesn't read the file twice.
std::optional<std::string> find_in_cache(const OfficialFile& file);

struct Pulled {
  std::string path;
  std::uint64_t size = 0;
  std::string sha256;
  bool downloaded = false;  ///< false: it was there already
};

/// Downloads an official file into a folder, which is made when it isn't there, and records it there; or, when it lies
/// there, checks it. Size and SHA-256 must be those of the catalogue as far as it has them, and those of an earlier
/// download into the same folder.
///
/// Where GCVIT_HUB_URL is set, the file comes from there, from a mirror that has the official files under their own
/// names. Throws `Error`; the folder then has no file that wasn't there before, but perhaps the part that has come.
Pulled pull(const OfficialFile& file, const std::string& folder, const Listener& listener,
            const RetryPolicy& retry_policy = {});

}  // namespace gcvit::hub
