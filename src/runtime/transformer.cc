#include "runtime/transformer.h"

namespace llmq {
namespace {

void Resize(std::vector<float>& buffer, int64_t size) { buffer.resize(static_cast<size_t>(size)); }

}  // namespace

Transformer::Transformer(const ModelWeights& weights, const KernelTable& kernels,
                         const RuntimeOptions& options, int64_t capacity)
    : weights_(weights),
      config_(weights.config()),
      floats_(*kernels.floats),
      pool_(options.threads),
      linear_(kernels, options.exact, pool_),
      cache_(config_, capacity, options.kv, floats_),
      attention_(config_, kernels, pool_),
      experts_(config_, floats_, linear_, pool_),
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
    RunMlp(layer);
  }
}

void Transformer::Turn(int64_t layer, int64_t heads, float* x) const {
  const RopeTable& table = config_.TurnsBySlidingRope(layer) ? sliding_rope_ : rope_;
  table.Apply(config_.rope.interleaved, tokens_, heads, config_.head_dim, x);
}

void Transformer::AddUpdate(const std::vector<float>& norm) {
  if (!norm.empty()) Norm(update_.data(), norm, tokens_, update_.data());
  AddInPlace(hidden_.data(), update_.data(), tokens_ * config_.hidden_size);
}

void Transformer::RunAttention(int64_t layer, int64_t position) {
  const LayerWeights& weights = weights_.layers()[layer];
  Norm(hidden_.data(), weights[BlockNorm::kInput], tokens_, normed_.data());
  const LinearCall calls[] = {{&weights.q, normed_.data(), q_.data()},
                              {&weights.k, normed_.data(), k_.data()},
                              {&weights.v, normed_.data(), v_.data()}};
  linear_.Run(calls, tokens_);
  if (config_.qk_norm) {
    Norm(q_.data(), weights[BlockNorm::kQuery], tokens_ * config_.num_heads, q_.data());
    Norm(k_.data(), weights[BlockNorm::kKey], tokens_ * config_.num_kv_heads, k_.data());
  }
  Turn(layer, config_.num_heads, q_.data());
  Turn(layer, config_.num_kv_heads, k_.data());
  cache_.Store(layer, position, tokens_, k_.data(), v_.data());
  attention_.Run(cache_, layer, position, tokens_, q_.data(), attended_.data());
  linear_.Run(weights.o, attended_.data(), tokens_, update_.data());
  AddUpdate(weights[BlockNorm::kAfterAttention]);
}

void Transformer::RunMlp(int64_t layer) {
  const LayerWeights& weights = weights_.layers()[layer];
  Norm(hidden_.data(), weights[BlockNorm::kMlp], tokens_, normed_.data());
  if (config_.IsSparse(layer)) {
    experts_.Run(weights, normed_.data(), tokens_, update_.data());
  } else {
    RunDenseMlp(weights.mlps.front());
  }
  AddUpdate(weights[BlockNorm::kAfterMlp]);
}

void Transformer::RunDenseMlp(const MlpWeights& mlp) {
  const LinearCall calls[] = {{&mlp.gate, normed_.data(), gate_.data()},
                              {&mlp.up, normed_.data(), up_.data()}};
  linear_.Run(calls, tokens_);
  ActivateGate(config_.activation, floats_, pool_, up_.data(), tokens_ * config_.intermediate_size,
               gate_.data());
  linear_.Run(mlp.down, gate_.data(), tokens_, update_.data());
}

void Transformer::Norm(const float* x, const std::vector<float>& weight, int64_t rows, float* out) {
  const auto n = static_cast<int64_t>(weight.size());
  pool_.ForEach(rows, 4, [&](int, int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      floats_.rms_norm(x + t * n, weight.data(), config_.rms_norm_eps, n, out + t * n);
  });
}

void Transformer::Logits(int64_t count, float* logits) {
  const float* last = hidden_.data() + (tokens_ - count) * config_.hidden_size;  // [count, hidden]
  Norm(last, weights_.final_norm(), count, normed_.data());
  linear_.Run(weights_.head(), normed_.data(), count, logits);
  if (config_.logit_softcap > 0) SoftCap(config_.logit_softcap, logits, count * config_.vocab_size);
}

}  // namespace llmq
