// SPDX-License-Identifier: Apache-2.0
#include "tensor/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "tensor/error.h"

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

/// A run in one word, so that a worker which wakes late can never mix two runs: how many indices it has and the next
/// one to take. Taking is one fetch_add; an index below the count is this run's, and the run can't end before it is done.
struct Ticket {
  static constexpr int kIndexBits = 32;
  /// Indices in one run; far below the mask, as every worker may overshoot the count once.
  static constexpr std::int64_t kMaximalCount = std::int64_t{1} << (kIndexBits - 1);

  static std::uint64_t make(std::int64_t count) { return static_cast<std::uint64_t>(count) << kIndexBits; }
  static std::int64_t count(std::uint64_t ticket) { return static_cast<std::int64_t>(ticket >> kIndexBits); }
  static std::int64_t index(std::uint64_t ticket) { return static_cast<std::int64_t>(ticket & 0xffffffffu); }
};

}  // namespace

struct ThreadPool::State {
  // On lines of their own: every worker writes the ticket and the count of what is done.
  alignas(64) std::atomic<std::uint64_t> ticket{0};
  alignas(64) std::atomic<std::int64_t> done{0};
  alignas(64) std::atomic<std::uint64_t> wake{0};  ///< changes with every run; what sleeping workers wait on
  std::atomic<bool> stop{false};
  std::int64_t first_index = 0;  ///< what index 0 of the ticket stands for
  void* context = nullptr;
  Task task = nullptr;
  std::mutex exception_mutex;
  std::exception_ptr exception;
  std::vector<std::thread> threads;

  void work(int worker) {
    while (true) {
      const std::uint64_t mine = ticket.fetch_add(1, std::memory_order_acq_rel);
      const std::int64_t index = Ticket::index(mine);
      if (index >= Ticket::count(mine)) return;
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
  try {
    for (int worker = 1; worker < threads; ++worker) {
      state_->threads.emplace_back([state = state_.get(), worker] { state->serve(worker); });
    }
  } catch (const std::system_error& error) {
    state_->shut_down();
    fail("[threads] can't start {} threads: {}", threads, error.what());
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
  state.context = context;
  state.task = task;
  for (std::int64_t first = 0; first < count; first += Ticket::kMaximalCount) {
    const std::int64_t part = std::min(count - first, Ticket::kMaximalCount);
    state.first_index = first;
    state.done.store(0, std::memory_order_relaxed);
    state.ticket.store(Ticket::make(part), std::memory_order_release);
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
