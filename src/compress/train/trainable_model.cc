#include "compress/train/trainable_model.h"

#include <limits>
#include <optional>
#include <utility>

#include "compress/torch_bridge.h"
#include "compress/train/graph_ops.h"
#include "compress/train/precision.h"

namespace llmq {
namespace {

// x [N, hidden] -> [N, rows], in float32 whatever the precision of the rest.
at::Tensor RouterLogits(const at::Tensor& x, const at::Tensor& router) {
  const AutocastGuard float32(TrainPrecision::kFloat32, x.device());
  return at::linear(x.to(at::kFloat), router);
}

// Weights and numbers of each token's experts, [N, per_token].
std::pair<at::Tensor, at::Tensor> Route(const ExpertConfig& experts, const at::Tensor& x,
                                        const at::Tensor& router) {
  const auto [weights, chosen] =
      at::softmax(RouterLogits(x, router), -1).topk(experts.per_token, -1);
  return {experts.normalized ? weights / weights.sum(-1, /*keepdim=*/true) : weights, chosen};
}

}  // namespace

at::Tensor DenseLinears::Apply(size_t index, const at::Tensor& x) const {
  return at::linear(x, weights_[index]);  // [.., d_in] . [d_in, d_out] -> [.., d_out]
}

// One layer's linears, by projection, and its norms.
class TrainableModel::BlockParts {
 public:
  BlockParts(const ModelConfig& config, int64_t layer, const FrameWeights& frame,
             const LinearSet& linears)
      : config_(config),
        layer_(layer),
        first_(LinearsOfBlock(config, layer).begin),
        frame_(frame),
        linears_(linears) {}

  at::Tensor Apply(Projection projection, const at::Tensor& x, int64_t mlp = 0) const {
    const size_t index = first_ + IndexInBlock(config_, projection, mlp);
    const at::Tensor y = linears_.Apply(index, x);
    return frame_.biases[index].defined() ? y + frame_.biases[index] : y;
  }
  const NormTensors& norm(BlockNorm norm) const { return frame_.norms[NormIndex(layer_, norm)]; }
  const at::Tensor& router(Router router) const {
    return frame_.routers[RouterIndex(layer_, router)];
  }

 private:
  const ModelConfig& config_;
  int64_t layer_;
  size_t first_;  // of the block's linears
  const FrameWeights& frame_;
  const LinearSet& linears_;
};

TrainableModel::TrainableModel(const ModelConfig& config, int64_t sequence_tokens,
                               at::Device device)
    : config_(config),
      sequence_tokens_(sequence_tokens),
      device_(device),
      rotation_(MakeRotation(config.rope, sequence_tokens, device)) {
  if (config.sliding_rope) {
    sliding_rotation_ = MakeRotation(*config.sliding_rope, sequence_tokens, device);
  }
  const at::Tensor i = at::arange(sequence_tokens).unsqueeze(1);  // [T, 1], of the query
  const at::Tensor distance = i - at::arange(sequence_tokens);    // [T, T]
  causal_ = (distance >= 0).to(device);
  if (config.sliding_window > 0 && config.sliding_window < sequence_tokens) {
    window_ = causal_.logical_and((distance < config.sliding_window).to(device));
  }
}

TrainableModel::Rotation TrainableModel::MakeRotation(const RopeConfig& config,
                                                      int64_t sequence_tokens,
                                                      at::Device device) const {
  const RopeFrequencies rope = ComputeRopeFrequencies(config, sequence_tokens);
  const at::Tensor inverse = ToTorch(rope.inverse, {static_cast<int64_t>(rope.inverse.size())});
  const at::Tensor positions = at::arange(sequence_tokens, at::kFloat);
  const at::Tensor angles = positions.unsqueeze(1) * inverse;  // [T, dim/2]
  return {(angles.cos() * rope.attention_factor).to(device),
          (angles.sin() * rope.attention_factor).to(device)};
}

at::Tensor TrainableModel::Norm(const at::Tensor& x, const NormTensors& norm) const {
  if (!norm.weight.defined()) return x;
  if (config_.norm_kind == NormKind::kRms) return RmsNorm(x, norm.weight, config_.norm_eps);
  return at::layer_norm(x, norm.weight.sizes(), norm.weight, norm.bias, config_.norm_eps);
}

at::Tensor TrainableModel::Rotate(const at::Tensor& heads, const Rotation& rotation) const {
  const int64_t dim = 2 * rotation.cos.size(1);
  if (dim == 0) return heads;
  if (dim == config_.head_dim) return RotatePairs(heads, rotation.cos, rotation.sin);
  const at::Tensor turned = RotatePairs(heads.narrow(-1, 0, dim), rotation.cos, rotation.sin);
  return at::cat({turned, heads.narrow(-1, dim, config_.head_dim - dim)}, -1);
}

at::Tensor TrainableModel::Allowed(int64_t layer, int64_t queries, int64_t keys) const {
  const bool windowed = window_.defined() && config_.WindowOf(layer) > 0;
  return (windowed ? window_ : causal_).narrow(0, keys - queries, queries).narrow(1, 0, keys);
}

at::Tensor TrainableModel::Mix(int64_t layer, const at::Tensor& q, const at::Tensor& k,
                               const at::Tensor& v) const {
  const bool windowed = window_.defined() && config_.WindowOf(layer) > 0;
  const int64_t queries = q.size(2), keys = k.size(2);
  const double scale = config_.AttentionScale();
  if (config_.attention_softcap == 0) {
    const bool is_triangle = !windowed && queries == keys;
    const bool sees_all = !windowed && queries == 1;
    const std::optional<at::Tensor> mask =
        is_triangle || sees_all ? std::nullopt : std::optional(Allowed(layer, queries, keys));
    return at::scaled_dot_product_attention(q, k, v, mask, 0.0, is_triangle, scale);
  }
  const double cap = config_.attention_softcap;
  const at::Tensor scores = at::tanh(at::matmul(q, k.transpose(-1, -2)) * (scale / cap)) * cap;
  const at::Tensor hidden = Allowed(layer, queries, keys).logical_not();
  const at::Tensor masked = scores.masked_fill(hidden, -std::numeric_limits<double>::infinity());
  return at::matmul(at::softmax(masked, -1), v);
}

at::Tensor TrainableModel::Attention(int64_t layer, const at::Tensor& x, const BlockParts& block,
                                     Prefix* prefix) const {
  const int64_t batch = x.size(0), length = x.size(1), dim = config_.head_dim;
  const int64_t begin = prefix == nullptr ? 0 : prefix->positions;
  const auto heads = [&](Projection projection, int64_t count) {
    // [B, T, count * head_dim] -> [B, T, count, head_dim]
    return block.Apply(projection, x).view({batch, length, count, dim});
  };
  const Rotation& all = config_.TurnsBySlidingRope(layer) ? sliding_rotation_ : rotation_;
  const Rotation rotation{all.cos.narrow(0, begin, length), all.sin.narrow(0, begin, length)};
  const auto turned = [&](Projection projection, int64_t count, BlockNorm norm) {
    return Rotate(Norm(heads(projection, count), block.norm(norm)).transpose(1, 2), rotation);
  };
  const auto behind = [&](const at::Tensor& rows, std::vector<at::Tensor> Prefix::*kept) {
    if (prefix == nullptr) return rows;
    const at::Tensor& known = (prefix->*kept)[static_cast<size_t>(layer)];
    known.narrow(2, begin, length).copy_(rows);
    return known.narrow(2, 0, begin + length);
  };
  const int64_t shared = config_.num_heads / config_.num_kv_heads;  // queries per key
  const auto repeat = [&](const at::Tensor& kv) {
    return shared == 1 ? kv : kv.repeat_interleave(shared, 1);  // [B, kv, ..] -> [B, heads, ..]
  };
  const at::Tensor q = turned(Projection::kQ, config_.num_heads, BlockNorm::kQuery);
  const at::Tensor k = turned(Projection::kK, config_.num_kv_heads, BlockNorm::kKey);
  const at::Tensor v = heads(Projection::kV, config_.num_kv_heads).transpose(1, 2);
  const at::Tensor mixed =
      Mix(layer, q, repeat(behind(k, &Prefix::keys)), repeat(behind(v, &Prefix::values)));
  return block.Apply(Projection::kO,
                     mixed.transpose(1, 2).reshape({batch, length, config_.num_heads * dim}));
}

at::Tensor TrainableModel::Activated(const at::Tensor& x) const {
  switch (config_.activation) {
    case Activation::kGeluTanh: return at::gelu(x, "tanh");
    case Activation::kGelu: return at::gelu(x);
    case Activation::kRelu: return at::relu(x);
    default: return at::silu(x);
  }
}

at::Tensor TrainableModel::Mlp(int64_t mlp, const at::Tensor& x, const BlockParts& block) const {
  const auto apply = [&](Projection projection, const at::Tensor& input) {
    return block.Apply(projection, input, mlp);
  };
  const at::Tensor up = apply(Projection::kUp, x);
  const at::Tensor made =
      config_.gated_mlp ? Activated(apply(Projection::kGate, x)) * up : Activated(up);
  return apply(Projection::kDown, made);
}

// Tokens are put in the order of their experts and back by permutations, and added up slot by slot:
// no two threads of a device add to the same number, forward or backward.
at::Tensor TrainableModel::Experts(const at::Tensor& x, const BlockParts& block) const {
  const ExpertConfig& experts = config_.experts;
  const int64_t hidden = config_.hidden_size, k = experts.per_token;
  const at::Tensor rows = x.reshape({-1, hidden});  // [N, hidden]
  const int64_t n = rows.size(0);
  const auto [weights, chosen] = Route(experts, rows, block.router(Router::kExperts));  // [N, k]
  const at::Tensor order = at::argsort(chosen.flatten(), /*stable=*/true, 0, false);    // [N k]
  const at::Tensor counts = at::bincount(chosen.flatten(), {}, experts.count).cpu();
  const std::vector<at::Tensor> parts =
      rows.unsqueeze(1)
          .expand({n, k, hidden})
          .reshape({n * k, hidden})
          .index_select(0, order)
          .split_with_sizes(
              at::IntArrayRef(counts.data_ptr<int64_t>(), static_cast<size_t>(experts.count)));
  std::vector<at::Tensor> made;
  for (size_t expert = 0; expert < parts.size(); ++expert) {
    if (parts[expert].size(0) == 0) continue;
    made.push_back(Mlp(static_cast<int64_t>(expert), parts[expert], block));
  }
  const at::Tensor by_slot = at::cat(made).index_select(0, at::argsort(order)).view({n, k, hidden});
  at::Tensor sum = (by_slot * weights.unsqueeze(-1)).sum(1);  // [N, hidden]
  if (experts.shared_intermediate_size > 0) {
    const at::Tensor gate = at::sigmoid(RouterLogits(rows, block.router(Router::kShared)));
    sum = sum + gate * Mlp(experts.count, rows, block);
  }
  return sum.view_as(x);
}

at::Tensor TrainableModel::Embed(const FrameWeights& frame, const at::Tensor& tokens,
                                 int64_t position) const {
  at::Tensor x = at::embedding(frame.embedding, tokens);  // [B, T] -> [B, T, EmbeddingWidth()]
  if (config_.HasProjectedEmbedding()) x = at::linear(x, frame.project_in);
  if (config_.embedding_scale != 1) x = x * config_.embedding_scale;
  if (!config_.learned_positions) return x;
  return x + frame.positions.narrow(0, config_.position_offset + position, tokens.size(-1));
}

at::Tensor TrainableModel::Block(int64_t layer, const FrameWeights& frame, const LinearSet& linears,
                                 const at::Tensor& x, Prefix* prefix) const {
  const BlockParts block(config_, layer, frame, linears);
  const bool after = config_.norms_after_sum;
  const auto read = [&](const at::Tensor& in, BlockNorm norm) {
    return after ? in : Norm(in, block.norm(norm));
  };
  const auto summed = [&](const at::Tensor& sum, BlockNorm norm) {
    return after ? Norm(sum, block.norm(norm)) : sum;
  };
  const at::Tensor attended = Attention(layer, read(x, BlockNorm::kInput), block, prefix);
  const at::Tensor mixed =
      summed(x + Norm(attended, block.norm(BlockNorm::kAfterAttention)), BlockNorm::kInput);
  const at::Tensor normed = read(mixed, BlockNorm::kMlp);
  const at::Tensor made = config_.IsSparse(layer) ? Experts(normed, block) : Mlp(0, normed, block);
  return summed(mixed + Norm(made, block.norm(BlockNorm::kAfterMlp)), BlockNorm::kMlp);
}

at::Tensor TrainableModel::Logits(const FrameWeights& frame, const at::Tensor& x) const {
  at::Tensor last = Norm(x, frame.final_norm);  // [B, T, hidden]
  if (config_.HasProjectedEmbedding()) last = at::linear(last, frame.project_out);
  const at::Tensor logits = at::linear(last, frame.head);  // [B, T, vocab]
  const double cap = config_.logit_softcap;
  return cap == 0 ? logits : at::tanh(logits / cap) * cap;
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

Prefix TrainableModel::EmptyPrefix(int64_t batch) const {
  Prefix prefix;
  for (int64_t layer = 0; layer < num_blocks(); ++layer) {
    for (std::vector<at::Tensor>* rows : {&prefix.keys, &prefix.values}) {
      rows->push_back(
          at::empty({batch, config_.num_kv_heads, sequence_tokens_, config_.head_dim}, device_));
    }
  }
  return prefix;
}

at::Tensor TrainableModel::Continue(const FrameWeights& frame, const LinearSet& linears,
                                    const at::Tensor& tokens, Prefix& prefix) const {
  const at::NoGradGuard no_grad;
  at::Tensor x = Embed(frame, tokens, prefix.positions);
  for (int64_t layer = 0; layer < num_blocks(); ++layer) {
    x = Block(layer, frame, linears, x, &prefix);
  }
  prefix.positions += tokens.size(1);
  return Logits(frame, x.narrow(1, tokens.size(1) - 1, 1)).squeeze(1);
}

}  // namespace llmq
