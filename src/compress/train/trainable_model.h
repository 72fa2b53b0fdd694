// The transformer in LibTorch: the same arithmetic as the runtime, differentiable, for teacher and
// student.
//
// Before: data_loader gives token ids. After: distill_loss compares two results. The linears of the
// blocks come in through LinearSet (dense for the teacher, LittleBit for the student); everything
// else is FrameWeights. Held against logits of transformers by
// tests/compress/trainable_model_test.cc.
#ifndef LLMQ_COMPRESS_TRAIN_TRAINABLE_MODEL_H_
#define LLMQ_COMPRESS_TRAIN_TRAINABLE_MODEL_H_

#include <vector>

#include "compress/torch_headers.h"
#include "llmq/model_config.h"

namespace llmq {

// The matrix products of the blocks. `index` counts as BlockLinears(config) does. Without bias.
// Linears of experts are applied to the tokens that are routed to them; to none: not at all.
class LinearSet {
 public:
  virtual ~LinearSet() = default;
  virtual at::Tensor Apply(size_t index,
                           const at::Tensor& x) const = 0;  // [.., d_in] -> [.., d_out]
};

class DenseLinears : public LinearSet {
 public:
  explicit DenseLinears(std::vector<at::Tensor> weights) : weights_(std::move(weights)) {}
  at::Tensor Apply(size_t index, const at::Tensor& x) const override;

 private:
  std::vector<at::Tensor> weights_;  // [d_out, d_in] each
};

// [hidden], or [head_dim] over heads.
struct NormTensors {
  at::Tensor weight;  // as it multiplies, offset included; undefined: no norm
  at::Tensor bias;    // of LayerNorm
};

// Everything but the matrices of the blocks. All f32.
struct FrameWeights {
  at::Tensor embedding;    // [vocab, EmbeddingWidth()]
  at::Tensor positions;    // [PositionRows(), hidden]; undefined if they are not learned
  at::Tensor project_in;   // [hidden, embedding_size]; undefined if embeddings are not narrower
  at::Tensor project_out;  // [embedding_size, hidden]; likewise
  at::Tensor head;         // as the embedding; the embedding itself if tied
  NormTensors final_norm;  // undefined if there is none
  std::vector<NormTensors> norms;   // kNumBlockNorms per block
  std::vector<at::Tensor> biases;   // [d_out] per linear, undefined where there is none
  std::vector<at::Tensor> routers;  // [rows, hidden], kNumRouters per block, undefined likewise
};

constexpr size_t NormIndex(int64_t layer, BlockNorm norm) {
  return static_cast<size_t>(layer) * kNumBlockNorms + static_cast<size_t>(norm);
}

constexpr size_t RouterIndex(int64_t layer, Router router) {
  return static_cast<size_t>(layer) * kNumRouters + static_cast<size_t>(router);
}

struct ForwardResult {
  at::Tensor logits;               // [B, T, vocab]
  std::vector<at::Tensor> hidden;  // [B, T, hidden] after each block, before the final norm
};

// What attention remembers of the text before: keys and values [B, kv_heads, T, head_dim] per
// block, of which the first `positions` are known.
struct Prefix {
  int64_t positions = 0;
  std::vector<at::Tensor> keys, values;
};

class TrainableModel {
 public:
  // Rotary tables and mask are made for sequences of `sequence_tokens`.
  TrainableModel(const ModelConfig& config, int64_t sequence_tokens, at::Device device);

  int64_t num_blocks() const { return config_.num_layers; }

  // All of it: Embed, each Block, Logits. tokens [B, sequence_tokens] i64 on the device.
  // Thread-safe, as its pieces are.
  ForwardResult Forward(const FrameWeights& frame, const LinearSet& linears,
                        const at::Tensor& tokens) const;

  // Reading on, for those who write: tokens [B, n] i64 follow the prefix, which takes them in ->
  // logits after the last of them, [B, vocab]. At most sequence_tokens positions in all; without
  // derivatives.
  Prefix EmptyPrefix(int64_t batch) const;
  at::Tensor Continue(const FrameWeights& frame, const LinearSet& linears, const at::Tensor& tokens,
                      Prefix& prefix) const;

  // The pieces, for those who run one block at a time. x is [B, sequence_tokens, hidden].
  // Tokens from `position` on -> x.
  at::Tensor Embed(const FrameWeights& frame, const at::Tensor& tokens, int64_t position = 0) const;
  // x before block `layer` -> x after it, of the same shape. Behind a prefix, which keeps its keys
  // and values but not the count, if there is one.
  at::Tensor Block(int64_t layer, const FrameWeights& frame, const LinearSet& linears,
                   const at::Tensor& x, Prefix* prefix = nullptr) const;
  at::Tensor Logits(const FrameWeights& frame, const at::Tensor& x) const;  // -> [B, T, vocab]

 private:
  // Cosines and sines of all positions, [T, dim/2].
  struct Rotation {
    at::Tensor cos, sin;
  };
  class BlockParts;
  Rotation MakeRotation(const RopeConfig& rope, int64_t sequence_tokens, at::Device device) const;
  // Identity for an undefined weight.
  at::Tensor Norm(const at::Tensor& x, const NormTensors& norm) const;
  at::Tensor Rotate(const at::Tensor& heads, const Rotation& rotation) const;
  // Which keys [T] a query of the block sees, [n, T] bool, the queries being the last n positions.
  at::Tensor Allowed(int64_t layer, int64_t queries, int64_t keys) const;
  // q [B, heads, n, head_dim], k, v [B, heads, T, head_dim] -> the shape of q.
  at::Tensor Mix(int64_t layer, const at::Tensor& q, const at::Tensor& k,
                 const at::Tensor& v) const;
  at::Tensor Attention(int64_t layer, const at::Tensor& x, const BlockParts& block,
                       Prefix* prefix) const;
  at::Tensor Activated(const at::Tensor& x) const;
  // One of the block's; x [.., hidden] -> the same shape.
  at::Tensor Mlp(int64_t mlp, const at::Tensor& x, const BlockParts& block) const;
  // What the block's experts make of x [B, T, hidden], each of the tokens that are routed to it.
  at::Tensor Experts(const at::Tensor& x, const BlockParts& block) const;

  ModelConfig config_;
  int64_t sequence_tokens_;
  at::Device device_;
  Rotation rotation_;
  Rotation sliding_rotation_;  // undefined: as the other
  at::Tensor causal_;          // [T, T] bool, true where attention is allowed without a window
  at::Tensor window_;          // [T, T] bool, the same with one; undefined: the text is shorter
};

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_TRAINABLE_MODEL_H_
