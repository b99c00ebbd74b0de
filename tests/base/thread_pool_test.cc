// SPDX-License-Identifier: Apache-2.0
#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tests/testing/error_of.h"
#include "tests/testing/limit_threads.h"

#if defined(__linux__)
#include <sched.h>
#endif

namespace gcvit {
namespace {

using testing::error_of;

constexpr int kThreadCounts[] = {1, 2, 7};

TEST(ThreadPool, CallsEveryIndexOnceWithAWorkerOfItsOwn) {
  for (const int threads : kThreadCounts) {
    ThreadPool pool(threads);
    ASSERT_EQ(pool.size(), threads);
    for (const std::int64_t count : {0, 1, 2, 6, 7, 8, 100, 5000}) {
      std::vector<std::atomic<int>> calls(static_cast<std::size_t>(count));
      std::vector<std::atomic<int>> busy(static_cast<std::size_t>(threads));
      std::atomic<bool> shared_worker{false};
      pool.parallel_for(count, [&](std::int64_t index, int worker) {
        ++calls.at(static_cast<std::size_t>(index));
        // A worker's scratch is its own: no two bodies may run under one number at a time.
        if (busy.at(static_cast<std::size_t>(worker)).fetch_add(1) != 0) shared_worker = true;
        --busy[static_cast<std::size_t>(worker)];
      });
      for (const auto& made : calls) ASSERT_EQ(made, 1) << threads << " threads, " << count << " indices";
      EXPECT_FALSE(shared_worker);
    }
  }
}

TEST(ThreadPool, ManyTinyRunsKeepApart) {
  for (const int threads : kThreadCounts) {
    ThreadPool pool(threads);
    // Plain memory: what bodies wrote must be seen after the run, and what was written before it inside it.
    std::vector<int> values(3);
    for (int round = 0; round < 2000; ++round) {
      const int count = 2 + round % 2;
      std::ranges::fill(values, round);
      pool.parallel_for(count, [&](std::int64_t index, int) { values[static_cast<std::size_t>(index)] += 1; });
      ASSERT_EQ(std::accumulate(values.begin(), values.end(), 0), 3 * round + count) << threads << " threads";
    }
  }
}

TEST(ThreadPool, WakesFromSleep) {
  ThreadPool pool(3);
  std::atomic<int> calls{0};
  for (int round = 0; round < 10; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));  // longer than idle workers watch for work
    pool.parallel_for(9, [&](std::int64_t, int) { ++calls; });
  }
  EXPECT_EQ(calls, 90);
}

TEST(ThreadPool, WorksOnSeveralIndicesAtATime) {
  ThreadPool pool(2);
  std::atomic<int> arrived{0};
  std::atomic<bool> met{true};
  pool.parallel_for(2, [&](std::int64_t, int) {
    ++arrived;
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (arrived != 2) {
      if (std::chrono::steady_clock::now() > give_up) {
        met = false;
        return;
      }
      std::this_thread::yield();
    }
  });
  EXPECT_TRUE(met);
}

TEST(ThreadPool, ThrowsABodysExceptionAndGoesOn) {
  for (const int threads : kThreadCounts) {
    ThreadPool pool(threads);
    for (int round = 0; round < 20; ++round) {
      std::vector<std::atomic<int>> calls(50);
      const std::string sentence = error_of([&] {
        pool.parallel_for(50, [&](std::int64_t index, int) {
          ++calls[static_cast<std::size_t>(index)];
          if (index >= 20 && index % 3 == 0) fail("index {} is broken", index);
        });
      });
      EXPECT_TRUE(sentence.starts_with("index ") && sentence.ends_with(" is broken")) << sentence;
      for (const auto& made : calls) EXPECT_LE(made, 1);
    }
    std::atomic<int> calls{0};
    pool.parallel_for(50, [&](std::int64_t, int) { ++calls; });
    EXPECT_EQ(calls, 50) << threads << " threads";
  }
}

TEST(ThreadPool, ThrowsExceptionsOfAnyType) {
  ThreadPool pool(2);
  EXPECT_THROW(pool.parallel_for(4, [](std::int64_t, int) { throw std::out_of_range("far"); }), std::out_of_range);
  EXPECT_THROW(pool.parallel_for(4, [](std::int64_t, int) { throw 5; }), int);
}

TEST(ThreadPool, EndsWhileWorkersWatchOrSleep) {
  for (int round = 0; round < 30; ++round) {
    auto pool = std::make_unique<ThreadPool>(1 + round % 7);
    if (round % 2 == 0) pool->parallel_for(5, [](std::int64_t, int) {});
    if (round % 3 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    pool.reset();
  }
}

TEST(ThreadPool, RefusesSenselessSizes) {
  EXPECT_EQ(error_of([] { ThreadPool pool(-1); }), "[threads] expected 0 (all processors) to 1024 threads, found -1");
  EXPECT_EQ(error_of([] { ThreadPool pool(1025); }),
            "[threads] expected 0 (all processors) to 1024 threads, found 1025");
}

TEST(ThreadPool, TakesAllProcessorsByDefault) {
  EXPECT_GE(available_processors(), 1);
  EXPECT_EQ(ThreadPool().size(), available_processors());
}

#if defined(__linux__)
TEST(AvailableProcessors, FollowsTheAffinityMask) {
  cpu_set_t all;
  ASSERT_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
  EXPECT_LE(available_processors(), CPU_COUNT(&all));
  int first = 0;
  while (!CPU_ISSET(first, &all)) ++first;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(available_processors(), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof(all), &all), 0);
}
#endif

TEST(ThreadPool, CallersTakeTurns) {
  ThreadPool pool(2);
  constexpr std::int64_t kCount = 50;
  std::vector<std::thread> callers;
  std::vector<std::int64_t> sums(4, 0);
  for (std::size_t c = 0; c < sums.size(); ++c) {
    callers.emplace_back([&, c] {
      for (int call = 0; call < 200; ++call) {
        std::vector<std::int64_t> written(kCount, 0);
        pool.parallel_for(kCount, [&](std::int64_t index, int) { written[static_cast<std::size_t>(index)] += index; });
        for (const std::int64_t value : written) sums[c] += value;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (const std::int64_t sum : sums) EXPECT_EQ(sum, 200 * kCount * (kCount - 1) / 2);
}

TEST(ThreadPool, ThreadsThatCantBeStartedAreAnErrorThatLeavesNone) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto start_too_many = [] {
    testing::limit_threads();
    const std::ptrdiff_t before = testing::thread_count();
    std::fputs(testing::error_of([] { ThreadPool pool(1000); }).c_str(), stderr);
    std::_Exit(testing::thread_count_falls_to(before) ? 0 : 1);
  };
  EXPECT_EXIT(start_too_many(), ::testing::ExitedWithCode(0), "\\[threads\\] can't start 1000 threads: .*unavailable");
}

}  // namespace
}  // namespace gcvit
