// SPDX-License-Identifier: Apache-2.0
#include "data/photo_hash.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "tensor/atomic_file.h"
#include "tensor/error.h"
#include "tensor/line_cutter.h"
#include "tensor/open_file.h"
#include "tensor/thread_pool.h"

namespace gcvit::data {
namespace {

constexpr std::string_view kFirstLine = "gcvit photo hashes 1";
constexpr std::size_t kHashDigits = 64;
constexpr std::size_t kLongestLine = std::size_t{1} << 16;
constexpr std::chrono::milliseconds kBetweenReports(100);

/// Takes a number and the space behind it.
template <typename Number>
bool take(std::string_view& text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end == text.data() + text.size() || *end != ' ') return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
  return true;
}

bool is_hash(std::string_view text) {
  return text.size() == kHashDigits && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

HashCache HashCache::read(const std::string& file) {
  HashCache cache;
  std::error_code error;
  if (!std::filesystem::exists(file, error)) return cache;
  LineCutter cutter("data", file, kLongestLine, [&](const std::string& line, std::size_t number) {
    const auto refuse = [&](std::string_view expected) {
      fail("[data] {}: line {}: expected {}, found other text", file, number, expected);
    };
    if (number == 1) {
      if (line != kFirstLine) refuse(fmt::format("\"{}\"", kFirstLine));
      return;
    }
    std::string_view rest = line;
    PhotoStamp stamp{.there = true, .size = 0, .time = 0, .sha256 = line.substr(0, kHashDigits)};
    rest.remove_prefix(std::min(rest.size(), kHashDigits));
    const bool space = rest.starts_with(' ');
    if (space) rest.remove_prefix(1);
    if (!space || !is_hash(stamp.sha256) || !take(rest, stamp.size) || !take(rest, stamp.time) || rest.empty()) {
      refuse("a hash, a size, a time and a name");
    }
    cache.stamps_.insert_or_assign(std::string(rest), std::move(stamp));
  });
  read_regular_pieces(file, "data", [&](std::string_view piece) { cutter.add(piece); });
  cutter.finish();
  return cache;
}

void HashCache::write(const std::string& file) const {
  std::vector<const std::pair<const std::string, PhotoStamp>*> sorted;
  for (const auto& one : stamps_) sorted.push_back(&one);
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->first < b->first; });
  AtomicFile out(file);
  std::string text = fmt::format("{}\n", kFirstLine);
  for (const auto* const one : sorted) {
    const std::string& name = one->first;
    if (name.find_first_of(std::string_view("\n\0", 2)) != std::string::npos || name.ends_with('\r')) continue;
    if (name.empty() || name.size() > kLongestLine / 2) continue;
    text += fmt::format("{} {} {} {}\n", one->second.sha256, one->second.size, one->second.time, name);
    if (text.size() > kLongestLine) {
      out.write(text);
      text.clear();
    }
  }
  out.write(text);
  out.commit();
}

const std::string* HashCache::find(const std::string& name, const PhotoStamp& stamp) const {
  const auto found = stamps_.find(name);
  if (found == stamps_.end() || !stamp.there) return nullptr;
  const PhotoStamp& known = found->second;
  return known.size == stamp.size && known.time == stamp.time ? &known.sha256 : nullptr;
}

void HashCache::keep(const std::string& name, const PhotoStamp& stamp) {
  if (stamp.there && is_hash(stamp.sha256)) stamps_.insert_or_assign(name, stamp);
}

std::vector<std::string> hashes_of(const PhotoSet& set, const HashOptions& options) {
  const bool cached = options.cache != nullptr && options.stamps.size() == set.samples.size();
  std::vector<std::string> hashes(set.samples.size());
  std::vector<std::size_t> unknown;
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    const std::string* const known = cached ? options.cache->find(set.samples[i].name, options.stamps[i]) : nullptr;
    if (known != nullptr) {
      hashes[i] = *known;
    } else {
      unknown.push_back(i);
    }
  }
  const std::size_t known = hashes.size() - unknown.size();
  const auto keep = [&] {
    for (std::size_t n = 0; cached && n < unknown.size(); ++n) {
      const std::size_t i = unknown[n];
      PhotoStamp stamp = options.stamps[i];
      stamp.sha256 = hashes[i];
      options.cache->keep(set.samples[i].name, stamp);
    }
  };
  ThreadPool pool(options.threads);
  std::vector<HashScratch> scratch(static_cast<std::size_t>(pool.size()));
  std::atomic<std::size_t> done = 0;
  std::atomic<std::uint64_t> bytes = 0;
  std::atomic<bool> stop = false;
  const auto report = [&] { options.progress({known + done.load(), hashes.size(), bytes.load()}); };
  auto next_report = std::chrono::steady_clock::now() + kBetweenReports;
  try {
    pool.parallel_for(static_cast<std::int64_t>(unknown.size()), [&](std::int64_t index, int worker) {
      if (stop.load()) return;
      const std::size_t i = unknown[static_cast<std::size_t>(index)];
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
  } catch (...) {
    keep();
    throw;
  }
  keep();
  report();
  return hashes;
}

}  // namespace gcvit::data
