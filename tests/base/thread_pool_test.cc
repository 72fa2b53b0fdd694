// Every index is visited once, for every mix of threads, counts and grains.
#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace llmq {
namespace {

TEST(ThreadPool, VisitsEveryIndexOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    for (const int64_t count : {0, 1, 2, 7, 64, 1000}) {
      for (const int64_t grain : {1, 3, 64}) {
        std::vector<std::atomic<int>> visits(static_cast<size_t>(count));
        pool.ParallelFor(count, grain, [&](int64_t begin, int64_t end) {
          EXPECT_EQ(begin % grain, 0);
          for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
        });
        for (const auto& visit : visits) ASSERT_EQ(visit.load(), 1);
      }
    }
  }
}

TEST(ThreadPool, ManyShortLoopsInARow) {
  ThreadPool pool(4);
  std::atomic<int64_t> sum = 0;
  for (int loop = 0; loop < 10000; ++loop) {
    pool.ParallelFor(4, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
  }
  EXPECT_EQ(sum, 40000);
}

TEST(ThreadPool, PiecesAreVisitedOnceAndNoThreadTwiceAtATime) {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    for (const int64_t count : {1, 2, 7, 64, 1000}) {
      for (const int64_t grain : {1, 3, 64}) {
        std::vector<std::atomic<int>> visits(static_cast<size_t>(count));
        std::vector<std::atomic<int>> inside(static_cast<size_t>(threads));
        pool.ForEach(count, grain, [&](int thread, int64_t begin, int64_t end) {
          EXPECT_EQ(begin % grain, 0);
          EXPECT_EQ(end, std::min(count, begin + grain));
          EXPECT_EQ(inside[static_cast<size_t>(thread)]++, 0);
          for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
          --inside[static_cast<size_t>(thread)];
        });
        for (const auto& visit : visits) ASSERT_EQ(visit.load(), 1);
      }
    }
  }
}

TEST(ThreadPool, OneThreadDoesWhatAnotherDoesNotComeTo) {
  ThreadPool pool(2);
  std::atomic<int> done = 0;
  // The first piece of one thread ends only when all others are done: the other thread did them.
  pool.ForEach(8, 1, [&](int, int64_t begin, int64_t) {
    if (begin == 4) {
      while (done < 7) std::this_thread::yield();
    }
    ++done;
  });
  EXPECT_EQ(done, 8);
}

TEST(ThreadPool, SleepersWake) {
  ThreadPool pool(3);
  for (int loop = 0; loop < 20; ++loop) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // long enough to fall asleep
    std::atomic<int64_t> sum = 0;
    pool.ForEach(100, 1, [&](int, int64_t begin, int64_t) { sum += begin; });
    EXPECT_EQ(sum, 4950);
  }
}

TEST(ResolveThreadCount, ZeroMeansAtLeastOne) {
  EXPECT_GE(ResolveThreadCount(0), 1);
  EXPECT_EQ(ResolveThreadCount(5), 5);
}

}  // namespace
}  // namespace llmq
