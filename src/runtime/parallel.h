// A loop over threads in which each thread knows its number and so its own scratch memory.
#ifndef LLMQ_RUNTIME_PARALLEL_H_
#define LLMQ_RUNTIME_PARALLEL_H_

#include <cstdint>

#include "base/thread_pool.h"

namespace llmq {

// Splits [0, count) into contiguous shares, one per thread, and calls body(thread, begin, end) for
// each non-empty one. The same rules as for ThreadPool::ParallelFor.
template <typename Body>
void ForEachShare(ThreadPool& pool, int64_t count, const Body& body) {
  pool.ParallelFor(pool.size(), 1, [&](int64_t first, int64_t last) {
    for (int64_t thread = first; thread < last; ++thread) {
      const int64_t begin = count * thread / pool.size();
      const int64_t end = count * (thread + 1) / pool.size();
      if (begin < end) body(static_cast<int>(thread), begin, end);
    }
  });
}

}  // namespace llmq

#endif  // LLMQ_RUNTIME_PARALLEL_H_
