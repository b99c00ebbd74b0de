// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "hub/download.h"

namespace gcvit::hub {

/// HTTP by libcurl: one attempt at a time to complete a partial file.
class Transfer {
 public:
  Transfer(const Source& source, PartFile& part, const RetryPolicy& retry_policy, const Listener& listener);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  /// Nothing when the file is complete; else the reason, when trying again may help. Throws `Error` when it won't.
  std::optional<std::string> try_once();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gcvit::hub
