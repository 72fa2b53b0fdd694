// Attention over latents: keys and values are made again from them, some heads at a time, for every
// step.
//
// Before: runtime/transformer has rotated queries and the latents of new tokens. After: the output
// projection. Keys and values have the bits that an f32 cache holds, as far as the latents have.
#ifndef LLMQ_RUNTIME_LATENT_ATTENTION_H_
#define LLMQ_RUNTIME_LATENT_ATTENTION_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "base/thread_pool.h"
#include "runtime/attention.h"
#include "runtime/latent_cache.h"
#include "runtime/linear.h"
#include "runtime/weights.h"

namespace llmq {

class LatentAttention {
 public:
  // What follows the projection of keys: normalises and rotates keys [heads, head_dim] f32 of one
  // position, in place. Called on any thread.
  using FinishKeys =
      std::function<void(int64_t layer, int64_t position, int64_t heads, float* keys)>;

  // Borrows all but `finish_keys`. Throws as LatentCache does.
  LatentAttention(const ModelWeights& weights, bool exact, int64_t capacity,
                  const FloatKernels& floats, LinearRunner& linear, Attention& attention,
                  ThreadPool& pool, FinishKeys finish_keys);

  int64_t most_latents() const { return cache_.most_latents(); }
  // Stores k, v [T, latents] f32 of positions [position, position + T), then as Attention::Run.
  void Run(int64_t layer, int64_t position, int64_t tokens, const float* k, const float* v,
           const float* q, float* out);

 private:
  // Keys and values of positions [first, end) and of some heads, into keys_ and values_.
  void Rebuild(int64_t layer, int64_t first, int64_t end, KvHeads heads);
  void RebuildPosition(int thread, int64_t layer, int64_t position, KvHeads heads,
                       LatentCache::Part part, float* out);

  const ModelWeights& weights_;
  const ModelConfig& config_;
  LatentCache cache_;
  LinearRunner& linear_;
  Attention& attention_;
  ThreadPool& pool_;
  FinishKeys finish_keys_;
  std::vector<float> keys_, values_;  // [heads, positions, head_dim] f32 of one layer
  struct Scratch {
    std::vector<float> latents, heads;  // [latents], [heads, head_dim] of one position
  };
  std::vector<Scratch> scratch_;  // per thread
};

}  // namespace llmq

#endif  // LLMQ_RUNTIME_LATENT_ATTENTION_H_
