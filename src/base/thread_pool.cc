// SPDX-License-Identifier: Apache-2.0
#include "base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <limits>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/resource_error.h"

namespace gcvit {
namespace {

constexpr int kMaximalThreads = 1024;
/// How long an idle worker watches for work before it sleeps: longer than the gaps between a run's operations.
constexpr auto kWatchTime = std::chrono::microseconds(200);

void pause_processor() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// What is left of one worker's part of a run: indices [first, last), in one word. Taking an index is one exchange, which
/// fails when anyone took another in between. An index that was taken is one of the run whose task its taker sees, even
/// where a worker woke late, for the run can't end before that index is done.
class Share {
 public:
  /// Indices in one run.
  static constexpr std::int64_t kMaximalCount = std::numeric_limits<std::int32_t>::max();

  void fill(std::int64_t first, std::int64_t last) { range_.store(pack(first, last), std::memory_order_release); }

  /// -1 when nothing is left.
  std::int64_t take_first() {
    return take([](std::int64_t& first, std::int64_t&) { return first++; });
  }
  std::int64_t take_last() {
    return take([](std::int64_t&, std::int64_t& last) { return --last; });
  }

 private:
  static std::uint64_t pack(std::int64_t first, std::int64_t last) {
    return static_cast<std::uint64_t>(first) << 32 | static_cast<std::uint64_t>(last);
  }
  template <typename Choose>
  std::int64_t take(Choose choose) {
    std::uint64_t range = range_.load(std::memory_order_acquire);
    while (true) {
      auto first = static_cast<std::int64_t>(range >> 32);
      auto last = static_cast<std::int64_t>(range & 0xffffffffu);
      if (first >= last) return -1;
      const std::int64_t index = choose(first, last);
      if (range_.compare_exchange_weak(range, pack(first, last), std::memory_order_acq_rel)) return index;
    }
  }

  alignas(64) std::atomic<std::uint64_t> range_{0};
};

}  // namespace

struct ThreadPool::State {
  alignas(64) std::atomic<std::int64_t> done{0};  ///< on a line of its own, as every worker writes it
  alignas(64) std::atomic<std::uint64_t> wake{0};  ///< changes with every run; what sleeping workers wait on
  std::atomic<bool> stop{false};
  std::int64_t first_index = 0;  ///< what index 0 of the shares stands for
  void* context = nullptr;
  Task task = nullptr;
  std::mutex turn;  ///< of the callers
  std::mutex exception_mutex;
  std::exception_ptr exception;
  std::vector<std::thread> threads;
  std::vector<Share> shares;  ///< one a worker

  /// The next of the worker's own indices, or when there is none the last of another's; -1 at the end.
  std::int64_t take(int worker) {
    const auto own = static_cast<std::size_t>(worker);
    std::int64_t index = shares[own].take_first();
    for (std::size_t other = own + 1; index < 0 && other < own + shares.size(); ++other) {
      index = shares[other % shares.size()].take_last();
    }
    return index;
  }

  void work(int worker) {
    while (true) {
      const std::int64_t index = take(worker);
      if (index < 0) return;
      try {
        task(context, first_index + index, worker);
      } catch (...) {
        const std::scoped_lock lock(exception_mutex);
        if (!exception) exception = std::current_exception();
      }
      done.fetch_add(1, std::memory_order_release);
    }
  }

  void serve(int worker) {
    std::uint64_t seen = 0;
    while (true) {
      const auto sleep_at = std::chrono::steady_clock::now() + kWatchTime;
      std::uint64_t now = wake.load(std::memory_order_acquire);
      for (int spins = 1; now == seen; ++spins) {
        pause_processor();
        now = wake.load(std::memory_order_acquire);
        if (spins % 64 == 0 && now == seen && std::chrono::steady_clock::now() > sleep_at) {
          wake.wait(seen, std::memory_order_acquire);
          now = wake.load(std::memory_order_acquire);
        }
      }
      seen = now;
      if (stop.load(std::memory_order_acquire)) return;
      work(worker);
    }
  }

  void shut_down() {
    stop.store(true, std::memory_order_release);
    wake.fetch_add(1, std::memory_order_release);
    wake.notify_all();
    for (std::thread& thread : threads) thread.join();
  }
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()) {
  if (threads < 0 || threads > kMaximalThreads) {
    fail("[threads] expected 0 (all processors) to {} threads, found {}", kMaximalThreads, threads);
  }
  if (threads == 0) threads = available_processors();
  state_->shares = std::vector<Share>(static_cast<std::size_t>(threads));
  try {
    state_->threads.reserve(static_cast<std::size_t>(threads));
    for (int worker = 1; worker < threads; ++worker) {
      state_->threads.emplace_back([state = state_.get(), worker] { state->serve(worker); });
    }
  } catch (const std::system_error& error) {
    state_->shut_down();
    throw ResourceError(fmt::format("[threads] can't start {} threads: {}", threads, error.code().message()));
  } catch (...) {
    state_->shut_down();
    throw;
  }
}

ThreadPool::~ThreadPool() { state_->shut_down(); }

int ThreadPool::size() const { return static_cast<int>(state_->threads.size()) + 1; }

void ThreadPool::run(std::int64_t count, void* context, Task task) {
  if (count <= 1 || state_->threads.empty()) {
    for (std::int64_t index = 0; index < count; ++index) task(context, index, 0);
    return;
  }
  State& state = *state_;
  const std::scoped_lock lock(state.turn);
  state.context = context;
  state.task = task;
  const auto workers = static_cast<std::int64_t>(state.shares.size());
  for (std::int64_t first = 0; first < count; first += Share::kMaximalCount) {
    const std::int64_t part = std::min(count - first, Share::kMaximalCount);
    state.first_index = first;
    state.done.store(0, std::memory_order_relaxed);
    for (std::int64_t worker = 0; worker < workers; ++worker) {
      state.shares[static_cast<std::size_t>(worker)].fill(part * worker / workers, part * (worker + 1) / workers);
    }
    state.wake.fetch_add(1, std::memory_order_release);
    state.wake.notify_all();
    state.work(0);
    for (int spins = 1; state.done.load(std::memory_order_acquire) != part; ++spins) {
      pause_processor();
      if (spins % 4096 == 0) std::this_thread::yield();
    }
  }
  if (state.exception) std::rethrow_exception(std::exchange(state.exception, nullptr));
}

}  // namespace gcvit
