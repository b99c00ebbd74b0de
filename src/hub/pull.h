// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "hub/cache.h"
#include "hub/catalogue.h"
#include "hub/download.h"

namespace gcvit::hub {

/// Downloads an official file into a folder, which is created if needed, and records it there; or checks it if it is already
/// there, and records it if it was put there by hand. Size and SHA-256 must match those in the catalogue, if it has them, and those of an earlier download into the
/// same folder.
///
/// If GCVIT_HUB_URL is set, the file is downloaded from that mirror, which has the official files under their own names.
/// Throws `Error`; the folder then has no new file except perhaps the partial download.
Pulled pull(const OfficialFile& file, const std::string& folder, const Listener& listener,
            const RetryPolicy& retry_policy = {});

}  // namespace gcvit::hub
