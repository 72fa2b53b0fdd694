// Grouped-query attention over a cache of keys and values.
//
// Before: runtime/transformer has rotated queries and keys. After: the output projection. Every
// query and head is computed on its own.
#ifndef LLMQ_RUNTIME_ATTENTION_H_
#define LLMQ_RUNTIME_ATTENTION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "llmq/model_config.h"
#include "runtime/kv_cache.h"

namespace llmq {

// Keys and values of one head, from position `first` on.
struct HeadRows {
  KvType type;
  int64_t row_bytes;
  int64_t first;
  const std::byte* keys;    // [positions, row_bytes]
  const std::byte* values;  // [positions, row_bytes]
};

struct KvHeads {
  int64_t begin, end;
};

class Attention {
 public:
  // Borrows all three.
  Attention(const ModelConfig& config, const KernelTable& kernels, ThreadPool& pool);

  // q [T, heads, head_dim] f32 at positions [position, position + T), whose keys and values are in
  // the cache
  // -> out [T, heads, head_dim] f32. A position sees itself and those before it, at most
  // sliding_window.
  void Run(const KvCache& cache, int64_t layer, int64_t position, int64_t tokens, const float* q,
           float* out);
  // The same for the queries of some heads of keys and values; `rows_of` gives the rows of one.
  using RowsOf = std::function<HeadRows(int64_t kv_head)>;
  void Run(const RowsOf& rows_of, KvHeads kv_heads, int64_t layer, int64_t position, int64_t tokens,
           const float* q, float* out);

 private:
  void RunHead(const HeadRows& rows, int64_t layer, int64_t position, const float* q, float* scores,
               float* out) const;

  const ModelConfig& config_;
  const FloatKernels& floats_;
  ThreadPool& pool_;
  std::vector<std::vector<float>> scores_;  // per thread
};

}  // namespace llmq

#endif  // LLMQ_RUNTIME_ATTENTION_H_
