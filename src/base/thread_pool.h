// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace gcvit {

/// The number of processors this process may use: its affinity mask, cut down to its cgroup's CPU quota (v1 or v2,
/// rounded up); at least 1.
int available_processors();

/// Threads that compute. The caller works too, so a pool of n runs n - 1 threads of its own.
class ThreadPool {
 public:
  /// `threads` 0 means `available_processors()`. Throws `Error` outside 0..1024.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const;

  /// Calls `body(index, worker)` once for every index in [0, count), worker in [0, size()); returns when all are done.
  /// Each worker begins with a part of its own, the same for the same count, so that what it wrote in one call is
  /// still in its cache in the next; who is done helps the others, so results must not depend on it. Allocates
  /// nothing. The first exception of a body is thrown again here after the others have ended. Any thread may call it:
  /// callers take turns, call by call. No nesting.
  template <typename Body>
  void parallel_for(std::int64_t count, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    run(count, const_cast<void*>(static_cast<const void*>(&body)),
        [](void* context, std::int64_t index, int worker) { (*static_cast<Plain*>(context))(index, worker); });
  }

 private:
  using Task = void (*)(void* context, std::int64_t index, int worker);
  void run(std::int64_t count, void* context, Task task);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gcvit
