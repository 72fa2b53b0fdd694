#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <system_error>

namespace llmq {
namespace {

// Between two loops of a forward pass lie some microseconds; a worker that has waited much longer
// takes time from others.
constexpr int kSpins = 1000;  // some 50 microseconds
// A worker that is late by this and by several pieces has lost its core.
constexpr auto kLate = std::chrono::microseconds(200);
constexpr int kLatePieces = 8;
// Going on alone for so many times as long as was lost costs at most a tenth where nothing helps,
// and little where cores come free again.
constexpr int kAloneFactor = 10;

using Clock = std::chrono::steady_clock;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

int ResolveThreadCount(int requested) {
  if (requested > 0) return requested;
  cpu_set_t usable;
  if (sched_getaffinity(0, sizeof(usable), &usable) == 0) return std::max(1, CPU_COUNT(&usable));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

ThreadPool::ThreadPool(int threads)
    : shares_(std::make_unique<Share[]>(static_cast<size_t>(std::max(1, threads)))) {
  workers_.reserve(static_cast<size_t>(std::max(0, threads - 1)));
  try {
    for (int thread = 1; thread < threads; ++thread) {
      workers_.emplace_back([this, thread] { WorkerLoop(thread); });
    }
  } catch (const std::system_error&) {  // a limit of the system: those that there are do the work
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::ForEach(int64_t count, int64_t grain, const Body& body) {
  if (count <= 0) return;
  grain = std::max<int64_t>(1, grain);
  const int64_t pieces = (count + grain - 1) / grain;
  if (workers_.empty() || pieces == 1 || Clock::now() < alone_until_) {
    for (int64_t begin = 0; begin < count; begin += grain)
      body(0, begin, std::min(count, begin + grain));
    return;
  }
  body_ = &body;
  count_ = count;
  grain_ = grain;
  for (int thread = 0; thread < size(); ++thread) {
    shares_[thread].end = pieces * (thread + 1) / size();
    shares_[thread].next.store(pieces * thread / size(), std::memory_order_relaxed);
  }
  phase_.fetch_add(1);  // open; publishes the above
  if (asleep_.load() > 0) {
    // Whoever is about to sleep holds the mutex until he does.
    { const std::lock_guard lock(mutex_); }
    wake_.notify_all();
  }
  const auto begin = Clock::now();
  const int64_t done = RunPieces(0);
  phase_.fetch_add(1);  // closed: from here on no worker begins, and those inside finish a piece
  if (active_.load() > 0) WaitForWorkers((Clock::now() - begin) / std::max<int64_t>(1, done));
}

void ThreadPool::WaitForWorkers(std::chrono::nanoseconds piece_time) {
  const auto begin = Clock::now();
  for (int spins = 0; active_.load() > 0; ++spins) {
    spins < kSpins ? Pause() : std::this_thread::yield();
  }
  const auto end = Clock::now();
  if (end - begin > std::max<Clock::duration>(kLate, kLatePieces * piece_time))
    alone_until_ = end + kAloneFactor * (end - begin);
}

void ThreadPool::ParallelFor(int64_t count, int64_t grain,
                             const std::function<void(int64_t, int64_t)>& body) {
  grain = std::max<int64_t>(1, grain);
  const int64_t grains = (count + grain - 1) / grain;
  const int64_t ranges = std::min<int64_t>(size(), grains);
  ForEach(ranges, 1, [&](int, int64_t range, int64_t) {
    const int64_t begin = grains * range / ranges * grain;
    const int64_t end = std::min(count, grains * (range + 1) / ranges * grain);
    body(begin, end);
  });
}

void ThreadPool::WorkerLoop(int thread) {
  uint64_t seen = 0;
  while (true) {
    WaitForLoop(seen);
    if (stopping_) return;
    // Either this is seen by the loop's end, which then waits, or the end is seen here: both are
    // sequentially consistent.
    active_.fetch_add(1);
    seen = phase_.load();
    if (seen % 2 == 1) RunPieces(thread);
    active_.fetch_sub(1);
  }
}

// Until the phase is not `seen`, or the pool stops.
void ThreadPool::WaitForLoop(uint64_t seen) {
  const auto changed = [&] { return stopping_ || (phase_.load() != seen && phase_.load() % 2); };
  for (int spins = 0; spins < kSpins; ++spins) {
    if (changed()) return;
    Pause();
  }
  std::unique_lock lock(mutex_);
  asleep_.fetch_add(1);
  wake_.wait(lock, changed);
  asleep_.fetch_sub(1);
}

int64_t ThreadPool::RunPieces(int thread) {
  int64_t done = 0;
  for (int i = 0; i < size(); ++i) {
    Share& share = shares_[(thread + i) % size()];
    while (true) {
      // Looking first keeps the counter from being written by everyone who finds nothing.
      if (share.next.load(std::memory_order_relaxed) >= share.end) break;
      const int64_t piece = share.next.fetch_add(1, std::memory_order_relaxed);
      if (piece >= share.end) break;
      (*body_)(thread, piece * grain_, std::min(count_, (piece + 1) * grain_));
      ++done;
    }
  }
  return done;
}

}  // namespace llmq
