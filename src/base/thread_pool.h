// A fixed set of worker threads for loops whose result does not depend on how many there are.
#ifndef LLMQ_BASE_THREAD_POOL_H_
#define LLMQ_BASE_THREAD_POOL_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace llmq {

// Number of threads to use when the user asks for `requested` (0 means one per usable core).
int ResolveThreadCount(int requested);

// Made for many short loops on a machine that may be busy with other things: a worker waits for the
// next loop awake for a moment, then asleep; no loop waits for a worker that has not begun; what
// one thread does not come to, the others do; and if a loop had to wait for a worker that the
// system had put aside in the middle of a piece, the caller goes on alone for a while.
class ThreadPool {
 public:
  using Body = std::function<void(int thread, int64_t begin, int64_t end)>;

  // `threads` >= 1 counts the calling thread: ThreadPool(1) starts none. Fewer if the system does
  // not allow so many.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Cuts [0, count) into pieces of `grain` (the last may be shorter), calls body(thread, begin,
  // end) once for each and returns when all are done. A thread takes pieces of its own share from
  // front to back, then those that others have left; `thread` in [0, size()) is never in two calls
  // at a time. An exception of body ends the process: bodies must not throw. Not reentrant.
  void ForEach(int64_t count, int64_t grain, const Body& body);

  // Splits [0, count) into at most size() contiguous ranges and calls body(begin, end) for each.
  // Range borders are multiples of `grain` (but for the last). The same rules.
  void ParallelFor(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

 private:
  struct alignas(64) Share {  // pieces [next, end) of one thread
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };

  void WorkerLoop(int thread);
  void WaitForLoop(uint64_t seen);
  // Returns how many.
  int64_t RunPieces(int thread);
  void WaitForWorkers(std::chrono::nanoseconds piece_time);

  std::vector<std::thread> workers_;
  std::unique_ptr<Share[]> shares_;  // [size()]
  const Body* body_ = nullptr;       // this and the next two: fixed while a loop is open
  int64_t count_ = 0;
  int64_t grain_ = 1;
  // Counts openings and closings: odd while a loop is open.
  alignas(64) std::atomic<uint64_t> phase_{0};
  alignas(64) std::atomic<int> active_{0};  // workers inside a loop, or about to look whether it is
  std::atomic<int> asleep_{0};
  std::atomic<bool> stopping_{false};
  std::chrono::steady_clock::time_point alone_until_;
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace llmq

#endif  // LLMQ_BASE_THREAD_POOL_H_
