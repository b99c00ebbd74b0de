// SPDX-License-Identifier: Apache-2.0
#include "serve/explain_worker.h"

#include <gtest/gtest.h>

#include <latch>
#include <vector>

#include "tests/serve/tiny_service.h"

namespace gcvit::serve {
namespace {

using namespace std::chrono_literals;

std::string code_of(const std::exception_ptr& error) {
  try {
    if (error) std::rethrow_exception(error);
    return "done";
  } catch (const Error& found) {
    return std::string(name_of(found.code()));
  }
}

struct ExplainWorkerTest : ::testing::Test {
  TinyModel tiny;
  Metrics metrics;
  ExplainWorker worker{"tiny", Model::open(tiny.file), {}, 2, metrics};
  std::vector<std::string> ends;  ///< of jobs, in their order; the worker's thread writes it

  ExplainWorker::Job job(std::function<void(const std::stop_token&)> run, std::chrono::milliseconds deadline = 1h) {
    return {.deadline = Clock::now() + deadline,
            .run = [run = std::move(run)](Explainer&, const std::stop_token& stop) { run(stop); },
            .done = [this](const std::exception_ptr& error) { ends.push_back(code_of(error)); }};
  }

  static void run_until_stopped(const std::stop_token& stop) {
    while (!stop.stop_requested()) std::this_thread::sleep_for(1ms);
    throw Error(ErrorCode::kCancelled, "[test] stopped");
  }
};

TEST_F(ExplainWorkerTest, HasRoomForItsQueueAndNoMore) {
  std::latch began(1);
  std::latch gate(1);
  worker.submit(worker.reserve(), job([&](const std::stop_token&) {
                  began.count_down();
                  gate.wait();
                }));
  began.wait();
  ExplainWorker::Place kept = worker.reserve();
  ASSERT_NE(kept, nullptr);
  EXPECT_EQ(worker.waiting(), 2u);
  EXPECT_EQ(worker.reserve(), nullptr);
  kept.reset();
  EXPECT_EQ(worker.waiting(), 1u);
  worker.submit(worker.reserve(), job([](const std::stop_token&) {}));
  EXPECT_EQ(worker.reserve(), nullptr);
  gate.count_down();
  worker.finish();
  EXPECT_EQ(worker.waiting(), 0u);
  EXPECT_EQ(ends, (std::vector<std::string>{"done", "done"}));
}

TEST_F(ExplainWorkerTest, StopsAtTheDeadlineAndDoesNotBeginBehindIt) {
  bool ran = false;
  worker.submit(worker.reserve(), job(run_until_stopped, 20ms));
  worker.submit(worker.reserve(), job([&](const std::stop_token&) { ran = true; }, 0ms));
  worker.finish();
  EXPECT_EQ(ends, (std::vector<std::string>{"cancelled", "cancelled"}));
  EXPECT_FALSE(ran);
}

TEST_F(ExplainWorkerTest, GoesOnAfterAJobThatFailed) {
  worker.submit(worker.reserve(), job([](const std::stop_token&) { throw Error(ErrorCode::kInvalidFile, "broken"); }));
  worker.submit(worker.reserve(), job([](const std::stop_token& stop) { EXPECT_FALSE(stop.stop_requested()); }));
  worker.finish();
  EXPECT_EQ(ends, (std::vector<std::string>{"invalid_file", "done"}));
  EXPECT_NE(metrics.text({}).find("gcvit_stage_seconds_count{stage=\"explain\"} 1\n"), std::string::npos);
}

TEST_F(ExplainWorkerTest, EndsWhatRunsAndWhatWaitsWhenItIsCancelled) {
  std::latch began(1);
  worker.submit(worker.reserve(), job([&](const std::stop_token& stop) {
                  began.count_down();
                  run_until_stopped(stop);
                }));
  worker.submit(worker.reserve(), job([](const std::stop_token&) { ADD_FAILURE(); }));
  began.wait();
  worker.cancel();
  while (worker.waiting() > 0) std::this_thread::sleep_for(1ms);
  worker.submit(worker.reserve(), job([](const std::stop_token&) { ADD_FAILURE(); }));
  worker.finish();
  EXPECT_EQ(ends, (std::vector<std::string>{"cancelled", "cancelled", "cancelled"}));
}

}  // namespace
}  // namespace gcvit::serve
