#include "runtime/attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

#include "base/bytes.h"
#include "llmq/error.h"
#include "runtime/layers.h"
#include "runtime/parallel.h"

namespace llmq {
namespace {

constexpr int64_t kWorthThreads = 1 << 16;  // multiplications

// Turns scores into weights that sum to 1.
void Softmax(float* scores, int64_t n) {
  const float largest = *std::max_element(scores, scores + n);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    scores[i] = std::exp(scores[i] - largest);
    sum += scores[i];
  }
  const auto scale = static_cast<float>(1.0 / sum);
  for (int64_t i = 0; i < n; ++i) scores[i] *= scale;
}

}  // namespace

KvCache::KvCache(const ModelConfig& config, int64_t capacity)
    : kv_heads_(config.num_kv_heads), head_dim_(config.head_dim), capacity_(capacity) {
  const auto per_token = static_cast<uint64_t>(config.num_layers * kv_heads_ * head_dim_);
  const auto floats = CheckedMul(per_token, static_cast<uint64_t>(capacity));
  try {
    if (!floats || *floats > PTRDIFF_MAX / sizeof(float)) throw std::bad_alloc();
    keys_ = std::make_unique_for_overwrite<float[]>(*floats);
    values_ = std::make_unique_for_overwrite<float[]>(*floats);
  } catch (const std::bad_alloc&) {
    throw Error(
        ErrorCode::kOutOfMemory,
        fmt::format("key-value cache: expected memory for {} tokens of {} bytes, found less",
                    capacity, per_token * 2 * sizeof(float)),
        "Use a shorter context.");
  }
}

void KvCache::Store(int64_t layer, int64_t position, int64_t tokens, const float* keys,
                    const float* values) {
  const size_t row_bytes = static_cast<size_t>(head_dim_) * sizeof(float);
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t h = 0; h < kv_heads_; ++h) {
      const int64_t to = HeadOffset(layer, h) + (position + t) * head_dim_;
      const int64_t from = (t * kv_heads_ + h) * head_dim_;
      std::memcpy(keys_.get() + to, keys + from, row_bytes);
      std::memcpy(values_.get() + to, values + from, row_bytes);
    }
  }
}

Attention::Attention(const ModelConfig& config, const KernelTable& kernels, ThreadPool& pool)
    : config_(config), kernels_(kernels), pool_(pool), scores_(static_cast<size_t>(pool.size())) {}

void Attention::Run(const KvCache& cache, int64_t layer, int64_t position, int64_t tokens,
                    const float* q, float* out) {
  const int64_t heads = config_.num_heads;
  for (std::vector<float>& scores : scores_)
    scores.resize(std::max(scores.size(), static_cast<size_t>(position + tokens)));
  // Item i is token i % T of head i / T: a thread gets whole heads, and so its share of the long
  // rows.
  const auto body = [&](int thread, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t head = i / tokens;
      const int64_t t = i % tokens;
      const int64_t at = (t * heads + head) * config_.head_dim;
      RunHead(cache, layer, position + t, head, q + at, scores_[thread].data(), out + at);
    }
  };
  const bool alone = tokens * heads * config_.head_dim * (position + tokens) < kWorthThreads;
  alone ? body(0, 0, tokens * heads) : ForEachShare(pool_, tokens * heads, body);
}

void Attention::RunHead(const KvCache& cache, int64_t layer, int64_t position, int64_t head,
                        const float* q, float* scores, float* out) const {
  const int64_t head_dim = config_.head_dim;
  const int64_t kv_head = head / (config_.num_heads / config_.num_kv_heads);
  const int64_t window = config_.WindowOf(layer);
  const int64_t first = window > 0 ? std::max<int64_t>(0, position + 1 - window) : 0;
  const int64_t count = position + 1 - first;
  const float* keys = cache.keys(layer, kv_head) + first * head_dim;      // [count, head_dim]
  const float* values = cache.values(layer, kv_head) + first * head_dim;  // [count, head_dim]

  // [count, head_dim] . [head_dim] -> [count]
  const int f32 = static_cast<int>(DenseType::kF32);
  kernels_.dense_dot[f32](reinterpret_cast<const std::byte*>(keys), head_dim, q, 0, count, scores);
  const auto scale = static_cast<float>(config_.AttentionScale());
  for (int64_t i = 0; i < count; ++i) scores[i] *= scale;
  if (config_.attention_softcap > 0) SoftCap(config_.attention_softcap, scores, count);
  Softmax(scores, count);
  kernels_.weighted_sum(values, scores, count, head_dim, out);
}

}  // namespace llmq
