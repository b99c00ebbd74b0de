// SPDX-License-Identifier: Apache-2.0
#include "data/image_hash.h"

#include <atomic>
#include <chrono>

#include "data/image_stamp.h"
#include "base/thread_pool.h"

namespace gcvit::data {
namespace {

constexpr std::chrono::milliseconds kBetweenReports(100);

}  // namespace

std::vector<std::string> hashes_of(const ImageSet& set, const HashOptions& options) {
  std::vector<std::string> hashes(set.samples.size());
  ThreadPool pool(options.threads);
  std::vector<HashScratch> scratch(static_cast<std::size_t>(pool.size()));
  std::atomic<std::size_t> done = 0;
  std::atomic<std::uint64_t> bytes = 0;
  std::atomic<bool> stop = false;
  const auto report = [&] { options.progress({done.load(), hashes.size(), bytes.load()}); };
  report();
  auto next_report = std::chrono::steady_clock::now() + kBetweenReports;
  pool.parallel_for(static_cast<std::int64_t>(hashes.size()), [&](std::int64_t index, int worker) {
    if (stop.load()) return;
    const auto i = static_cast<std::size_t>(index);
    try {
      std::uint64_t size = 0;
      hashes[i] = hash_of(set.samples[i], scratch[static_cast<std::size_t>(worker)], size);
      bytes.fetch_add(size);
      done.fetch_add(1);
      if (worker != 0 || std::chrono::steady_clock::now() < next_report) return;
      report();
      next_report = std::chrono::steady_clock::now() + kBetweenReports;
    } catch (...) {
      stop.store(true);
      throw;
    }
  });
  report();
  return hashes;
}

}  // namespace gcvit::data
