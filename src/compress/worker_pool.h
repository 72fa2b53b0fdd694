// The compressor's threads. Each runs LibTorch single-threaded, so that a task computes the same
// bits however many workers there are (docs/decisions/0003-determinism.md).
//
// base/thread_pool splits loops and does not allow exceptions; this hands out whole tasks (a matrix
// to factorize, a micro-batch to differentiate), carries their exceptions to the caller, and lets
// the caller look at results and ask for a stop while tasks run.
#ifndef LLMQ_COMPRESS_WORKER_POOL_H_
#define LLMQ_COMPRESS_WORKER_POOL_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace llmq {

class WorkerPool {
 public:
  // `threads` >= 1; fewer if the system does not allow so many. Throws Error{kGeneral} if it allows
  // none.
  explicit WorkerPool(int threads);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  int size() const { return static_cast<int>(threads_.size()); }

  // What the calling thread does while tasks run; either may be empty.
  struct Watcher {
    std::function<void(int64_t)> done;  // task i has ended, in the order of ending
    std::function<bool()> keep_going;   // asked often; false: tasks not begun are dropped
  };
  // task(i) for each i in [0, count), begun in this order. Returns when all that were begun have
  // ended: true if none was dropped. The exception of the lowest failed task is rethrown. Not
  // reentrant.
  bool Run(int64_t count, const std::function<void(int64_t)>& task, const Watcher& watcher = {});

 private:
  void ShowOne(std::unique_lock<std::mutex>& lock, const Watcher& watcher);
  void WorkerLoop();
  void RunTask(int64_t index);

  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable work_;                        // there is a task, or the end
  std::condition_variable ended_;                       // a task ended
  const std::function<void(int64_t)>* task_ = nullptr;  // valid while Run() runs
  int64_t next_ = 0;                                    // first task not begun
  int64_t limit_ = 0;                                   // tasks from here on are not begun
  int64_t running_ = 0;
  std::deque<int64_t> finished_;  // ended, not yet shown to the watcher
  int64_t failed_index_ = 0;
  std::exception_ptr failure_;
  bool stopping_ = false;
};

}  // namespace llmq

#endif  // LLMQ_COMPRESS_WORKER_POOL_H_
