#include "runtime/transformer.h"

namespace llmq {
namespace {

// Numbers worth a thread's attention: some microseconds.
constexpr int64_t kElementwisePiece = 1 << 13;

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
      frequencies_(ComputeRopeFrequencies(config_, 0)) {}

void Transformer::SetSequenceLength(int64_t tokens) {
  if (config_.rope.scaling == RopeScalingKind::kDynamic)
    frequencies_ = ComputeRopeFrequencies(config_, tokens);
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
  rope_.Fill(frequencies_, position, tokens_);
  for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
    RunAttention(layer, position);
    RunMlp(weights_.layers()[layer]);
  }
}

void Transformer::RunAttention(int64_t layer, int64_t position) {
  const LayerWeights& weights = weights_.layers()[layer];
  Norm(hidden_.data(), weights.input_norm, tokens_);
  const LinearCall calls[] = {{&weights[Projection::kQ], q_.data()},
                              {&weights[Projection::kK], k_.data()},
                              {&weights[Projection::kV], v_.data()}};
  linear_.Run(calls, normed_.data(), tokens_);
  rope_.Apply(config_.rope.interleaved, tokens_, config_.num_heads, q_.data());
  rope_.Apply(config_.rope.interleaved, tokens_, config_.num_kv_heads, k_.data());
  cache_.Store(layer, position, tokens_, k_.data(), v_.data());
  attention_.Run(cache_, layer, position, tokens_, q_.data(), attended_.data());
  linear_.Run(weights[Projection::kO], attended_.data(), tokens_, update_.data());
  AddInPlace(hidden_.data(), update_.data(), tokens_ * config_.hidden_size);
}

void Transformer::RunMlp(const LayerWeights& weights) {
  Norm(hidden_.data(), weights.post_attention_norm, tokens_);
  const LinearCall calls[] = {{&weights[Projection::kGate], gate_.data()},
                              {&weights[Projection::kUp], up_.data()}};
  linear_.Run(calls, normed_.data(), tokens_);
  pool_.ForEach(tokens_ * config_.intermediate_size, kElementwisePiece,
                [&](int, int64_t begin, int64_t end) {
                  floats_.swiglu(up_.data() + begin, end - begin, gate_.data() + begin);
                });
  linear_.Run(weights[Projection::kDown], gate_.data(), tokens_, update_.data());
  AddInPlace(hidden_.data(), update_.data(), tokens_ * config_.hidden_size);
}

void Transformer::Norm(const float* x, const std::vector<float>& weight, int64_t tokens) {
  const auto n = static_cast<int64_t>(weight.size());
  pool_.ForEach(tokens, 4, [&](int, int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      floats_.rms_norm(x + t * n, weight.data(), config_.rms_norm_eps, n, normed_.data() + t * n);
  });
}

void Transformer::Logits(int64_t count, float* logits) {
  const float* last = hidden_.data() + (tokens_ - count) * config_.hidden_size;  // [count, hidden]
  Norm(last, weights_.final_norm(), count);
  linear_.Run(weights_.head(), normed_.data(), count, logits);
}

}  // namespace llmq
