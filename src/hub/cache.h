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

/// Where an official file lies in the cache, or would.
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

/// Downloads an official file into a folder, which is created if needed, and records it there; or checks it if it is already
/// there, and records it if it was put there by hand. Size and SHA-256 must match those in the catalogue, if it has them, and those of an earlier download into the
/// same folder.
///
/// If GCVIT_HUB_URL is set, the file is downloaded from that mirror, which has the official files under their own names.
/// Throws `Error`; the folder then has no new file except perhaps the partial download.
Pulled pull(const OfficialFile& file, const std::string& folder, const Listener& listener,
            const RetryPolicy& retry_policy = {});

}  // namespace gcvit::hub
