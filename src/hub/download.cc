// SPDX-License-Identifier: Apache-2.0
#include "hub/download.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <thread>

#include "hub/page.h"
#include "hub/transfer.h"
#include "base/error.h"
#include "digest/sha256.h"

namespace gcvit::hub {
namespace {

// A try that brought this much was worth it: the next failure is again the first in a row.
constexpr std::uint64_t kWorthwhile = std::uint64_t{1} << 20;

void bring(const Source& source, PartFile& part, const RetryPolicy& retry_policy, const Listener& listener) {
  Transfer transfer(source, part, retry_policy, listener);
  std::uint64_t had = part.size();
  std::chrono::milliseconds pause = retry_policy.first_pause;
  int failures = 0;
  while (const std::optional<std::string> reason = transfer.try_once()) {
    if (part.size() >= had + kWorthwhile) {
      had = part.size();
      pause = retry_policy.first_pause;
      failures = 0;
    }
    if (++failures >= retry_policy.tries) {
      fail(ErrorCode::kIo, "[pull] {}: {}{}", source.url, *reason,
           part.size() > 0 && !part.validator().empty() ? "; what has come stays, and the next pull goes on from there"
                                                        : "");
    }
    listener.notice(fmt::format("[pull] {}; trying again", *reason));
    std::this_thread::sleep_for(pause);
    pause *= 2;
  }
}

/// Servers answer with a page, and say that all is well, where a sign-in or a proxy stands before them. What is published
/// without its SHA-256 would be taken for that page for ever after.
void expect_no_page(const Source& source, PartFile& part) {
  const std::string kind = page_in_place_of_file(part.path());
  if (kind.empty()) return;
  part.discard();
  fail("[pull] {}: expected a weight file, found {}; what has come was removed", source.url, kind);
}

}  // namespace

std::string download(const Source& source, PartFile& part, const RetryPolicy& retry_policy, const Listener& listener) {
  if (source.size == 0 || part.size() != source.size) bring(source, part, retry_policy, listener);
  if (source.sha256.empty()) expect_no_page(source, part);
  std::string sha256 = sha256_of_file(part.path());
  if (!sha256.starts_with(source.sha256)) {
    part.discard();
    fail("[pull] {}: expected SHA-256 {}{} ({}), found {}; what has come was removed", source.url, source.sha256,
         source.sha256.size() < sha256.size() ? "..." : "", source.known_from, sha256);
  }
  return sha256;
}

}  // namespace gcvit::hub
