// A fixed set of worker threads for loops whose result does not depend on how many there are.
#ifndef LLMQ_BASE_THREAD_POOL_H_
#define LLMQ_BASE_THREAD_POOL_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace llmq {

// Number of threads to use when the user asks for `requested` (0 means one per usable core).
int ResolveThreadCount(int requested);

class ThreadPool {
 public:
  // `threads` >= 1 counts the calling thread: ThreadPool(1) starts none.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Splits [0, count) into size() contiguous ranges, calls body(begin, end) for each non-empty one
  // in parallel and returns when all are done. Range borders are multiples of `grain` (but for the
  // last). An exception of body ends the process's work: bodies must not throw. Not reentrant.
  void ParallelFor(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

 private:
  void WorkerLoop(int index);
  void RunShare(int index) const;

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable start_;
  std::condition_variable done_;
  const std::function<void(int64_t, int64_t)>* body_ = nullptr;  // valid while a loop runs
  int64_t count_ = 0;
  int64_t grain_ = 1;
  uint64_t generation_ = 0;  // counts loops; a worker runs each once
  int unfinished_ = 0;
  bool stopping_ = false;
};

}  // namespace llmq

#endif  // LLMQ_BASE_THREAD_POOL_H_
