// Keys and values of the tokens that were read, in 32, 16 or 8 bits.
//
// Before: runtime/transformer has rotated keys. After: runtime/attention reads rows of one head.
#ifndef LLMQ_RUNTIME_KV_CACHE_H_
#define LLMQ_RUNTIME_KV_CACHE_H_

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"
#include "llmq/model.h"
#include "llmq/model_config.h"
#include "runtime/large_memory.h"

namespace llmq {

// Memory for `capacity` tokens. Throws Error{kOutOfMemory} if it cannot be had. The system gives it
// as it is filled.
LargeMemory AllocateCache(int64_t bytes_per_token, int64_t capacity);

// Every layer's keys and values for positions [0, capacity). A head's rows lie together.
class KvCache {
 public:
  // Throws as AllocateCache. Precondition: not kLatent.
  KvCache(const ModelConfig& config, int64_t capacity, KvType type, const FloatKernels& floats);

  static int64_t BytesPerToken(const ModelConfig& config, KvType type);  // of all layers

  // keys, values [T, kv_heads, head_dim] f32 of positions [position, position + T).
  void Store(int64_t layer, int64_t position, int64_t tokens, const float* keys,
             const float* values);
  KvType type() const { return type_; }
  // Of one position and head: head_dim numbers, or a grouped row of 8 bits (llmq/group_quant.h).
  int64_t row_bytes() const { return row_bytes_; }
  // [capacity, row_bytes]
  const std::byte* keys(int64_t layer, int64_t kv_head) const {
    return memory_.data() + Offset(layer, kv_head);
  }
  const std::byte* values(int64_t layer, int64_t kv_head) const {
    return keys(layer, kv_head) + values_;
  }

 private:
  int64_t Offset(int64_t layer, int64_t kv_head) const {
    return (layer * kv_heads_ + kv_head) * capacity_ * row_bytes_;
  }
  void StoreRow(const float* row, std::byte* to) const;

  KvType type_;
  const FloatKernels& floats_;
  int64_t kv_heads_;
  int64_t head_dim_;
  int64_t capacity_;
  int64_t row_bytes_;
  int64_t values_ = 0;  // where values begin; keys are before them
  LargeMemory memory_;
};

}  // namespace llmq

#endif  // LLMQ_RUNTIME_KV_CACHE_H_
