// The forward pass of one sequence on the CPU: token ids in, logits out.
//
// Before: runtime/session has checked ids and positions. After: logits for the sampler or for a
// loss. Owns the sequence's cache, threads and scratch memory; borrows the weights.
#ifndef LLMQ_RUNTIME_TRANSFORMER_H_
#define LLMQ_RUNTIME_TRANSFORMER_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "llmq/model.h"
#include "runtime/attention.h"
#include "runtime/experts.h"
#include "runtime/forward_pass.h"
#include "runtime/kv_cache.h"
#include "runtime/latent_attention.h"
#include "runtime/layers.h"
#include "runtime/linear.h"
#include "runtime/weights.h"

namespace llmq {

class Transformer final : public ForwardPass {
 public:
  Transformer(const ModelWeights& weights, const KernelTable& kernels,
              const RuntimeOptions& options, int64_t capacity);

  void SetSequenceLength(int64_t tokens) override;
  void Forward(std::span<const int32_t> tokens, int64_t position) override;
  void Logits(int64_t count, float* logits) override;
  int64_t capacity() const override { return capacity_; }
  int64_t most_tokens() const override;

 private:
  void Embed(std::span<const int32_t> tokens, int64_t position);
  void RunAttention(int64_t layer, int64_t position);
  void RunMlp(int64_t layer);
  void RunDenseMlp(const MlpWeights& mlp);
  // By position: x [T, heads, head_dim] of a layer's queries or keys from `position` on.
  void Turn(int64_t layer, int64_t position, int64_t tokens, int64_t heads, float* x) const;
  // What a part of a block reads, in normed_.
  void PrepareInput(const NormWeights& norm);
  // What a part of a block makes, normalised by `own` if the model does, goes onto the residual
  // stream, which `sum` normalises with norms_after_sum.
  void AddUpdate(const NormWeights& own, const NormWeights& sum);
  // x [rows, n] f32 -> out of the same shape, which may be x.
  void Norm(const float* x, const NormWeights& norm, int64_t rows, float* out);
  void NormRows(const float* x, const NormWeights& norm, int64_t begin, int64_t end,
                float* out) const;

  const ModelWeights& weights_;
  const ModelConfig& config_;
  const FloatKernels& floats_;
  ThreadPool pool_;
  LinearRunner linear_;
  int64_t capacity_;
  std::optional<KvCache> cache_;  // or latent_
  Attention attention_;
  std::optional<LatentAttention> latent_;
  ExpertRunner experts_;
  RopeFrequencies frequencies_;
  RopeTable rope_;
  RopeFrequencies sliding_frequencies_;
  RopeTable sliding_rope_;  // of layers with a window, if they turn by themselves
  int64_t tokens_ = 0;      // T of the last Forward
  // All [T, ...] f32 of the last Forward.
  std::vector<float> hidden_;    // [T, hidden], the residual stream
  std::vector<float> normed_;    // [T, hidden]
  std::vector<float> q_;         // [T, heads, head_dim]
  std::vector<float> k_;         // [T, kv_heads, head_dim], or latents [T, r]
  std::vector<float> v_;         // [T, kv_heads, head_dim], or latents [T, r]
  std::vector<float> attended_;  // [T, heads, head_dim]
  std::vector<float> gate_;      // [T, intermediate]; of an MLP without a gate `up`
  std::vector<float> up_;        // [T, intermediate]
  std::vector<float> update_;    // [T, hidden], what a block adds
  std::vector<float> narrow_;    // [T, embedding_size]
};

}  // namespace llmq

#endif  // LLMQ_RUNTIME_TRANSFORMER_H_
