#include "compress/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>

#include "compress/torch_headers.h"

namespace llmq {
namespace {

TEST(WorkerPool, RunsEveryTaskOnceAndShowsEachOnTheCallersThread) {
  for (const int threads : {1, 2, 5}) {
    WorkerPool pool(threads);
    for (const int64_t count : {0, 1, 3, 40}) {
      std::vector<std::atomic<int>> ran(static_cast<size_t>(count));
      std::vector<int> shown(static_cast<size_t>(count));
      const auto caller = std::this_thread::get_id();
      WorkerPool::Watcher watcher;
      watcher.done = [&](int64_t i) {
        EXPECT_EQ(std::this_thread::get_id(), caller);
        ++shown[static_cast<size_t>(i)];
      };
      EXPECT_TRUE(pool.Run(
          count, [&](int64_t i) { ++ran[static_cast<size_t>(i)]; }, watcher));
      for (size_t i = 0; i < ran.size(); ++i) EXPECT_EQ(ran[i] + shown[i], 2);
    }
  }
}

TEST(WorkerPool, EveryWorkerRunsLibTorchSingleThreaded) {
  WorkerPool pool(3);
  std::atomic<int> wrong = 0;
  pool.Run(12, [&](int64_t) { wrong += at::get_num_threads() != 1; });
  EXPECT_EQ(wrong, 0);
}

TEST(WorkerPool, RethrowsTheLowestFailureAndStaysUsable) {
  WorkerPool pool(1);
  std::atomic<int> begun = 0;
  const auto failing = [&](int64_t i) {
    ++begun;
    if (i >= 2) throw std::runtime_error(std::to_string(i));
  };
  try {
    pool.Run(100, failing);
    FAIL() << "expected an exception";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "2");
  }
  EXPECT_LT(begun, 100);  // what had not begun was dropped
  EXPECT_TRUE(pool.Run(3, [](int64_t) {}));
}

TEST(WorkerPool, StopsBetweenTasks) {
  WorkerPool pool(1);
  std::atomic<int> begun = 0;
  WorkerPool::Watcher watcher;
  watcher.keep_going = [&] { return begun < 3; };
  const bool complete = pool.Run(
      1000,
      [&](int64_t) {
        ++begun;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      },
      watcher);
  EXPECT_FALSE(complete);
  EXPECT_LT(begun, 1000);
}

TEST(WorkerPool, CarriesAnExceptionOfTheWatcher) {
  WorkerPool pool(2);
  WorkerPool::Watcher watcher;
  watcher.done = [](int64_t) { throw std::runtime_error("disk full"); };
  EXPECT_THROW(pool.Run(
                   50, [](int64_t) {}, watcher),
               std::runtime_error);
  EXPECT_TRUE(pool.Run(2, [](int64_t) {}));
}

}  // namespace
}  // namespace llmq
