#include "runtime/transformer.h"

namespace llmq {
namespace {

void Resize(std::vector<float>& buffer, int64_t size) { buffer.resize(static_cast<size_t>(size)); }

}  // namespace

Transformer::Transformer(const ModelWeights& weights, const KernelTable& kernels, int threads,
                         int64_t capacity)
    : weights_(weights),
      config_(weights.config()),
      pool_(threads),
      linear_(kernels, pool_),
      cache_(config_, capacity),
      attention_(config_, kernels, pool_),
      frequencies_(ComputeRopeFrequencies(config_.rope, 0)) {
  if (config_.sliding_rope) sliding_frequencies_ = ComputeRopeFrequencies(*config_.sliding_rope, 0);
}

void Transformer::SetSequenceLength(int64_t tokens) {
  if (DependsOnLength(config_.rope.scaling))
    frequencies_ = ComputeRopeFrequencies(config_.rope, tokens);
}

void Transformer::Forward(std::span<const int32_t> tokens, int64_t position) {
  tokens_ = static_cast<int64_t>(tokens.size());
  Resize(hidden_, tokens_ * config_.hidden_size);
  Resize(normed_, tokens_ * config_.hidden_size);
  Resize(update_, tokens_ * config_.hidden_size);
  Resize(q_, tokens_ * config_.num_heads * config_.head_dim);
  Resize(attended_, tokens_ * config_.num_heads * config_.head_dim);
  Resize(k_, tokens_ * config_.num_kv_heads * config_.head_dim);
  Resize(v_, tokens_ * config_.num_kv_heads * config_.head_dim);
  Resize(gate_, tokens_ * config_.intermediate_size);
  Resize(up_, tokens_ * config_.intermediate_size);

  for (int64_t t = 0; t < tokens_; ++t) {
    linear_.Row(weights_.embedding(), tokens[t], hidden_.data() + t * config_.hidden_size);
  }
  if (config_.embedding_scale != 1) {
    for (float& x : hidden_) x *= static_cast<float>(config_.embedding_scale);
  }
  rope_.Fill(frequencies_, position, tokens_);
  if (config_.sliding_rope) sliding_rope_.Fill(sliding_frequencies_, position, tokens_);
  for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
    RunAttention(layer, position);
    RunMlp(weights_.layers()[layer]);
  }
}

void Transformer::Turn(int64_t layer, int64_t heads, float* x) const {
  const RopeTable& table = config_.TurnsBySlidingRope(layer) ? sliding_rope_ : rope_;
  table.Apply(config_.rope.interleaved, tokens_, heads, config_.head_dim, x);
}

void Transformer::AddUpdate(const std::vector<float>& norm) {
  if (!norm.empty())
    RmsNorm(pool_, update_.data(), norm, config_.rms_norm_eps, tokens_, update_.data());
  AddInPlace(hidden_.data(), update_.data(), tokens_ * config_.hidden_size);
}

void Transformer::RunAttention(int64_t layer, int64_t position) {
  const LayerWeights& weights = weights_.layers()[layer];
  RmsNorm(pool_, hidden_.data(), weights[BlockNorm::kInput], config_.rms_norm_eps, tokens_,
          normed_.data());
  linear_.Run(weights[Projection::kQ], normed_.data(), tokens_, q_.data());
  linear_.Run(weights[Projection::kK], normed_.data(), tokens_, k_.data());
  linear_.Run(weights[Projection::kV], normed_.data(), tokens_, v_.data());
  if (config_.qk_norm) {
    RmsNorm(pool_, q_.data(), weights[BlockNorm::kQuery], config_.rms_norm_eps,
            tokens_ * config_.num_heads, q_.data());
    RmsNorm(pool_, k_.data(), weights[BlockNorm::kKey], config_.rms_norm_eps,
            tokens_ * config_.num_kv_heads, k_.data());
  }
  Turn(layer, config_.num_heads, q_.data());
  Turn(layer, config_.num_kv_heads, k_.data());
  cache_.Store(layer, position, tokens_, k_.data(), v_.data());
  attention_.Run(cache_, layer, position, tokens_, q_.data(), attended_.data());
  linear_.Run(weights[Projection::kO], attended_.data(), tokens_, update_.data());
  AddUpdate(weights[BlockNorm::kAfterAttention]);
}

void Transformer::RunMlp(const LayerWeights& weights) {
  RmsNorm(pool_, hidden_.data(), weights[BlockNorm::kMlp], config_.rms_norm_eps, tokens_,
          normed_.data());
  linear_.Run(weights[Projection::kGate], normed_.data(), tokens_, gate_.data());
  linear_.Run(weights[Projection::kUp], normed_.data(), tokens_, up_.data());
  GatedUnit(pool_, config_.activation, gate_.data(), up_.data(), tokens_,
            config_.intermediate_size);
  linear_.Run(weights[Projection::kDown], gate_.data(), tokens_, update_.data());
  AddUpdate(weights[BlockNorm::kAfterMlp]);
}

void Transformer::Logits(int64_t count, float* logits) {
  const float* last = hidden_.data() + (tokens_ - count) * config_.hidden_size;  // [count, hidden]
  RmsNorm(pool_, last, weights_.final_norm(), config_.rms_norm_eps, count, normed_.data());
  linear_.Run(weights_.head(), normed_.data(), count, logits);
  if (config_.logit_softcap > 0) SoftCap(config_.logit_softcap, logits, count * config_.vocab_size);
}

}  // namespace llmq
