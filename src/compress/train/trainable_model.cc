#include "compress/train/trainable_model.h"

#include <optional>

#include "compress/torch_bridge.h"
#include "compress/train/graph_ops.h"

namespace llmq {

at::Tensor DenseLinears::Apply(size_t index, const at::Tensor& x) const {
  return at::linear(x, weights_[index]);  // [.., d_in] . [d_in, d_out] -> [.., d_out]
}

// One layer's linears, by projection.
struct TrainableModel::Projections {
  const FrameWeights& frame;
  const LinearSet& linears;
  size_t first;  // index of the block's Q

  at::Tensor Apply(Projection projection, const at::Tensor& x) const {
    const size_t index = first + static_cast<size_t>(projection);
    const at::Tensor y = linears.Apply(index, x);
    return frame.biases[index].defined() ? y + frame.biases[index] : y;
  }
};

TrainableModel::TrainableModel(const ModelConfig& config, int64_t sequence_tokens,
                               at::Device device)
    : config_(config) {
  const RopeFrequencies rope = ComputeRopeFrequencies(config, sequence_tokens);
  const at::Tensor inverse = ToTorch(rope.inverse, {static_cast<int64_t>(rope.inverse.size())});
  const at::Tensor positions = at::arange(sequence_tokens, at::kFloat);
  const at::Tensor angles = positions.unsqueeze(1) * inverse;  // [T, head_dim/2]
  cos_ = (angles.cos() * rope.attention_factor).to(device);
  sin_ = (angles.sin() * rope.attention_factor).to(device);
  if (config.sliding_window > 0 && config.sliding_window < sequence_tokens) {
    const at::Tensor i = at::arange(sequence_tokens).unsqueeze(1);  // [T, 1], of the query
    const at::Tensor distance = i - at::arange(sequence_tokens);    // [T, T]
    mask_ = (distance >= 0).logical_and(distance < config.sliding_window).to(device);
  }
}

at::Tensor TrainableModel::Norm(const at::Tensor& x, const at::Tensor& weight) const {
  return RmsNorm(x, weight, config_.rms_norm_eps);
}

at::Tensor TrainableModel::Attention(const at::Tensor& x, const Projections& block) const {
  const int64_t batch = x.size(0), length = x.size(1), dim = config_.head_dim;
  const auto heads = [&](Projection projection, int64_t count) {
    // [B, T, count * head_dim] -> [B, count, T, head_dim]
    return block.Apply(projection, x).view({batch, length, count, dim}).transpose(1, 2);
  };
  const int64_t shared = config_.num_heads / config_.num_kv_heads;  // queries per key
  const auto repeat = [&](const at::Tensor& kv) {
    return shared == 1 ? kv : kv.repeat_interleave(shared, 1);  // [B, kv, ..] -> [B, heads, ..]
  };
  const at::Tensor q = RotatePairs(heads(Projection::kQ, config_.num_heads), cos_, sin_);
  const at::Tensor k = repeat(RotatePairs(heads(Projection::kK, config_.num_kv_heads), cos_, sin_));
  const at::Tensor v = repeat(heads(Projection::kV, config_.num_kv_heads));
  const std::optional<at::Tensor> mask = mask_.defined() ? std::optional(mask_) : std::nullopt;
  const at::Tensor mixed = at::scaled_dot_product_attention(q, k, v, mask, 0.0, !mask.has_value());
  return block.Apply(Projection::kO,
                     mixed.transpose(1, 2).reshape({batch, length, config_.num_heads * dim}));
}

at::Tensor TrainableModel::Mlp(const at::Tensor& x, const Projections& block) const {
  const at::Tensor gate = at::silu(block.Apply(Projection::kGate, x));
  return block.Apply(Projection::kDown, gate * block.Apply(Projection::kUp, x));
}

at::Tensor TrainableModel::Embed(const FrameWeights& frame, const at::Tensor& tokens) const {
  return at::embedding(frame.embedding, tokens);  // [B, T] -> [B, T, hidden]
}

at::Tensor TrainableModel::Block(int64_t layer, const FrameWeights& frame, const LinearSet& linears,
                                 const at::Tensor& x) const {
  const auto index = static_cast<size_t>(layer);
  const Projections block{frame, linears, index * kNumProjections};
  const at::Tensor mixed = x + Attention(Norm(x, frame.input_norms[index]), block);
  return mixed + Mlp(Norm(mixed, frame.post_norms[index]), block);
}

at::Tensor TrainableModel::Logits(const FrameWeights& frame, const at::Tensor& x) const {
  // [B, T, hidden] . [hidden, vocab] -> [B, T, vocab]
  return at::linear(Norm(x, frame.final_norm), frame.head);
}

ForwardResult TrainableModel::Forward(const FrameWeights& frame, const LinearSet& linears,
                                      const at::Tensor& tokens) const {
  ForwardResult result;
  at::Tensor x = Embed(frame, tokens);
  for (int64_t layer = 0; layer < num_blocks(); ++layer) {
    x = Block(layer, frame, linears, x);
    result.hidden.push_back(x);
  }
  result.logits = Logits(frame, x);
  return result;
}

}  // namespace llmq
