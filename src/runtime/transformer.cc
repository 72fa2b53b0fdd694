#include "runtime/transformer.h"

#include <algorithm>

namespace llmq {
namespace {

void Resize(std::vector<float>& buffer, int64_t size) { buffer.resize(static_cast<size_t>(size)); }

// Memory that Forward takes for each of its tokens, beside the cache.
int64_t BytesPerToken(const ModelConfig& config) {
  const int64_t q = config.num_heads * config.head_dim;
  const int64_t kv = config.num_kv_heads * config.head_dim;
  const int64_t floats = 3 * config.hidden_size + 2 * q + 2 * kv + 2 * config.intermediate_size +
                         config.embedding_size;
  return 4 * floats + ExpertRunner::BytesPerToken(config);
}

}  // namespace

Transformer::Transformer(const ModelWeights& weights, const KernelTable& kernels,
                         const RuntimeOptions& options, int64_t capacity)
    : weights_(weights),
      config_(weights.config()),
      floats_(*kernels.floats),
      pool_(options.threads),
      linear_(kernels, options.exact, pool_),
      capacity_(capacity),
      attention_(config_, kernels, pool_),
      experts_(config_, floats_, linear_, pool_),
      frequencies_(ComputeRopeFrequencies(config_.rope, 0)) {
  if (config_.sliding_rope) sliding_frequencies_ = ComputeRopeFrequencies(*config_.sliding_rope, 0);
  if (options.kv != KvType::kLatent) {
    cache_.emplace(config_, capacity, options.kv, floats_);
    return;
  }
  const auto finish_keys = [this](int64_t layer, int64_t position, int64_t heads, float* keys) {
    if (config_.qk_norm) NormRows(keys, weights_.layers()[layer][BlockNorm::kKey], 0, heads, keys);
    Turn(layer, position, 1, heads, keys);
  };
  latent_.emplace(weights, options.exact, capacity, floats_, linear_, attention_, pool_,
                  finish_keys);
}

int64_t Transformer::most_tokens() const {
  constexpr int64_t kBytes = 12 << 20;
  constexpr int64_t kLeast = 16, kMost = 256;
  return std::clamp(kBytes / BytesPerToken(config_) / kLeast * kLeast, kLeast, kMost);
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
  const int64_t kv_size =
      latent_ ? latent_->most_latents() : config_.num_kv_heads * config_.head_dim;
  Resize(k_, tokens_ * kv_size);
  Resize(v_, tokens_ * kv_size);
  Resize(gate_, tokens_ * config_.intermediate_size);
  if (config_.gated_mlp) Resize(up_, tokens_ * config_.intermediate_size);

  Embed(tokens, position);
  rope_.Fill(frequencies_, position, tokens_);
  if (config_.sliding_rope) sliding_rope_.Fill(sliding_frequencies_, position, tokens_);
  for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
    RunAttention(layer, position);
    RunMlp(layer);
  }
}

void Transformer::Embed(std::span<const int32_t> tokens, int64_t position) {
  const int64_t n = config_.hidden_size, width = config_.EmbeddingWidth();
  const bool projected = config_.HasProjectedEmbedding();
  if (projected) Resize(narrow_, tokens_ * width);
  float* rows = projected ? narrow_.data() : hidden_.data();
  for (int64_t t = 0; t < tokens_; ++t) {
    linear_.Row(weights_.embedding(), tokens[t], rows + t * width);
  }
  if (projected) linear_.Run(weights_.project_in(), rows, tokens_, hidden_.data());
  if (config_.embedding_scale != 1) {
    for (float& x : hidden_) x *= static_cast<float>(config_.embedding_scale);
  }
  if (!config_.learned_positions) return;
  for (int64_t t = 0; t < tokens_; ++t) {
    linear_.Row(weights_.positions(), position + t + config_.position_offset, update_.data());
    AddInPlace(hidden_.data() + t * n, update_.data(), n);
  }
}

void Transformer::Turn(int64_t layer, int64_t position, int64_t tokens, int64_t heads,
                       float* x) const {
  const RopeTable& table = config_.TurnsBySlidingRope(layer) ? sliding_rope_ : rope_;
  table.Apply(config_.rope.interleaved, position, tokens, heads, config_.head_dim, x);
}

void Transformer::PrepareInput(const NormWeights& norm) {
  if (config_.norms_after_sum) {
    std::ranges::copy(hidden_, normed_.begin());
  } else {
    Norm(hidden_.data(), norm, tokens_, normed_.data());
  }
}

void Transformer::AddUpdate(const NormWeights& own, const NormWeights& sum) {
  if (!own.weight.empty()) Norm(update_.data(), own, tokens_, update_.data());
  AddInPlace(hidden_.data(), update_.data(), tokens_ * config_.hidden_size);
  if (config_.norms_after_sum) Norm(hidden_.data(), sum, tokens_, hidden_.data());
}

void Transformer::RunAttention(int64_t layer, int64_t position) {
  const LayerWeights& weights = weights_.layers()[layer];
  PrepareInput(weights[BlockNorm::kInput]);
  const bool latents = latent_.has_value();
  const LinearCall calls[] = {{&weights.q, normed_.data(), q_.data()},
                              {&weights.k, normed_.data(), k_.data(), latents},
                              {&weights.v, normed_.data(), v_.data(), latents}};
  linear_.Run(calls, tokens_);
  if (config_.qk_norm)
    Norm(q_.data(), weights[BlockNorm::kQuery], tokens_ * config_.num_heads, q_.data());
  Turn(layer, position, tokens_, config_.num_heads, q_.data());
  if (latents) {
    latent_->Run(layer, position, tokens_, k_.data(), v_.data(), q_.data(), attended_.data());
  } else {
    if (config_.qk_norm)
      Norm(k_.data(), weights[BlockNorm::kKey], tokens_ * config_.num_kv_heads, k_.data());
    Turn(layer, position, tokens_, config_.num_kv_heads, k_.data());
    cache_->Store(layer, position, tokens_, k_.data(), v_.data());
    attention_.Run(*cache_, layer, position, tokens_, q_.data(), attended_.data());
  }
  linear_.Run(weights.o, attended_.data(), tokens_, update_.data());
  AddUpdate(weights[BlockNorm::kAfterAttention], weights[BlockNorm::kInput]);
}

void Transformer::RunMlp(int64_t layer) {
  const LayerWeights& weights = weights_.layers()[layer];
  PrepareInput(weights[BlockNorm::kMlp]);
  if (config_.IsSparse(layer)) {
    experts_.Run(weights, normed_.data(), tokens_, update_.data());
  } else {
    RunDenseMlp(weights.mlps.front());
  }
  AddUpdate(weights[BlockNorm::kAfterMlp], weights[BlockNorm::kMlp]);
}

void Transformer::RunDenseMlp(const MlpWeights& mlp) {
  const int64_t size = tokens_ * config_.intermediate_size;
  if (config_.gated_mlp) {
    const LinearCall calls[] = {{&mlp.gate, normed_.data(), gate_.data()},
                                {&mlp.up, normed_.data(), up_.data()}};
    linear_.Run(calls, tokens_);
    ActivateGate(config_.activation, floats_, pool_, up_.data(), size, gate_.data());
  } else {
    linear_.Run(mlp.up, normed_.data(), tokens_, gate_.data());
    Activate(config_.activation, pool_, size, gate_.data());
  }
  linear_.Run(mlp.down, gate_.data(), tokens_, update_.data());
}

void Transformer::Norm(const float* x, const NormWeights& norm, int64_t rows, float* out) {
  pool_.ForEach(rows, 4,
                [&](int, int64_t begin, int64_t end) { NormRows(x, norm, begin, end, out); });
}

void Transformer::NormRows(const float* x, const NormWeights& norm, int64_t begin, int64_t end,
                           float* out) const {
  const auto n = static_cast<int64_t>(norm.weight.size());
  const float* weight = norm.weight.data();
  const float* bias = norm.bias.data();
  const double eps = config_.norm_eps;
  const bool centred = config_.norm_kind == NormKind::kLayer;
  for (int64_t t = begin; t < end; ++t) {
    centred ? floats_.layer_norm(x + t * n, weight, bias, eps, n, out + t * n)
            : floats_.rms_norm(x + t * n, weight, eps, n, out + t * n);
  }
}

void Transformer::Logits(int64_t count, float* logits) {
  const float* last = hidden_.data() + (tokens_ - count) * config_.hidden_size;  // [count, hidden]
  if (config_.has_final_norm) {
    Norm(last, weights_.final_norm(), count, normed_.data());
    last = normed_.data();
  }
  if (config_.HasProjectedEmbedding()) {
    linear_.Run(weights_.project_out(), last, count, narrow_.data());
    last = narrow_.data();
  }
  linear_.Run(weights_.head(), last, count, logits);
  if (config_.logit_softcap > 0) SoftCap(config_.logit_softcap, logits, count * config_.vocab_size);
}

}  // namespace llmq
