// Grouped-query attention over a cache of keys and values.
//
// Before: runtime/transformer has rotated queries and keys. After: the output projection. Every
// query and head is computed on its own.
#ifndef LLMQ_RUNTIME_ATTENTION_H_
#define LLMQ_RUNTIME_ATTENTION_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "llmq/model_config.h"

namespace llmq {

// Keys and values of every layer for positions [0, capacity), f32. A head's rows lie together.
class KvCache {
 public:
  // Throws Error{kOutOfMemory} if the memory cannot be had. The system gives it page by page, as it
  // is filled.
  KvCache(const ModelConfig& config, int64_t capacity);

  // keys, values [T, kv_heads, head_dim] f32 of positions [position, position + T).
  void Store(int64_t layer, int64_t position, int64_t tokens, const float* keys,
             const float* values);
  const float* keys(int64_t layer, int64_t kv_head) const {
    return keys_.get() + HeadOffset(layer, kv_head);
  }
  const float* values(int64_t layer, int64_t kv_head) const {
    return values_.get() + HeadOffset(layer, kv_head);
  }
  int64_t capacity() const { return capacity_; }

 private:
  int64_t HeadOffset(int64_t layer, int64_t kv_head) const {
    return (layer * kv_heads_ + kv_head) * capacity_ * head_dim_;
  }

  int64_t kv_heads_;
  int64_t head_dim_;
  int64_t capacity_;
  std::unique_ptr<float[]> keys_;    // [layers, kv_heads, capacity, head_dim]
  std::unique_ptr<float[]> values_;  // [layers, kv_heads, capacity, head_dim]
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

 private:
  void RunHead(const KvCache& cache, int64_t layer, int64_t position, int64_t head, const float* q,
               float* scores, float* out) const;

  const ModelConfig& config_;
  const KernelTable& kernels_;
  ThreadPool& pool_;
  std::vector<std::vector<float>> scores_;  // per thread
};

}  // namespace llmq

#endif  // LLMQ_RUNTIME_ATTENTION_H_
