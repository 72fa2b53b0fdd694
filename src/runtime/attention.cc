#include "runtime/attention.h"

#include <algorithm>

#include "runtime/layers.h"

namespace llmq {
namespace {

constexpr int64_t kWorthThreads = 1 << 16;  // multiplications

}  // namespace

Attention::Attention(const ModelConfig& config, const KernelTable& kernels, ThreadPool& pool)
    : config_(config),
      floats_(*kernels.floats),
      pool_(pool),
      scores_(static_cast<size_t>(pool.size())) {}

void Attention::Run(const KvCache& cache, int64_t layer, int64_t position, int64_t tokens,
                    const float* q, float* out) {
  const auto rows_of = [&](int64_t kv_head) {
    return HeadRows{.type = cache.type(),
                    .row_bytes = cache.row_bytes(),
                    .first = 0,
                    .keys = cache.keys(layer, kv_head),
                    .values = cache.values(layer, kv_head)};
  };
  Run(rows_of, {0, config_.num_kv_heads}, layer, position, tokens, q, out);
}

void Attention::Run(const RowsOf& rows_of, KvHeads kv_heads, int64_t layer, int64_t position,
                    int64_t tokens, const float* q, float* out) {
  const int64_t heads = config_.num_heads, group = heads / config_.num_kv_heads;
  for (std::vector<float>& scores : scores_)
    scores.resize(std::max(scores.size(), static_cast<size_t>(position + tokens)));
  // Item i is token i % T of head i / T: neighbours read the same keys.
  const int64_t items = tokens * (kv_heads.end - kv_heads.begin) * group;
  const bool alone = items * config_.head_dim * (position + tokens) < kWorthThreads;
  pool_.ForEach(items, alone ? items : 4, [&](int thread, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t head = kv_heads.begin * group + i / tokens;
      const int64_t t = i % tokens;
      const int64_t at = (t * heads + head) * config_.head_dim;
      RunHead(rows_of(head / group), layer, position + t, q + at, scores_[thread].data(), out + at);
    }
  });
}

void Attention::RunHead(const HeadRows& rows, int64_t layer, int64_t position, const float* q,
                        float* scores, float* out) const {
  const int64_t head_dim = config_.head_dim;
  const int64_t window = config_.WindowOf(layer);
  const int64_t first = window > 0 ? std::max<int64_t>(0, position + 1 - window) : 0;
  const int64_t count = position + 1 - first;
  const int64_t row_bytes = rows.row_bytes;
  const std::byte* keys = rows.keys + (first - rows.first) * row_bytes;      // [count, head_dim]
  const std::byte* values = rows.values + (first - rows.first) * row_bytes;  // [count, head_dim]
  const auto factor = static_cast<float>(config_.AttentionScale());

  const auto normalise = [&] {
    if (config_.attention_softcap == 0) return floats_.softmax(factor, count, scores);
    for (int64_t j = 0; j < count; ++j) scores[j] *= factor;
    SoftCap(config_.attention_softcap, scores, count);
    floats_.softmax(1, count, scores);
  };
  // [count, head_dim] . [head_dim] -> [count], and back with the weights: [count] -> [head_dim]
  switch (rows.type) {
    case KvType::kF32:
      floats_.dense_dot[static_cast<int>(DenseType::kF32)](keys, head_dim, q, 0, count, scores);
      normalise();
      floats_.weighted_sum(reinterpret_cast<const float*>(values), scores, count, head_dim, out);
      return;
    case KvType::kF16:
      floats_.dense_dot[static_cast<int>(DenseType::kF16)](keys, head_dim, q, 0, count, scores);
      normalise();
      floats_.weighted_sum_half(reinterpret_cast<const uint16_t*>(values), scores, count, head_dim,
                                out);
      return;
    case KvType::kQ8:
      floats_.group_dot8(keys, row_bytes, head_dim, q, 0, count, scores);
      normalise();
      floats_.weighted_sum_group8(values, row_bytes, scores, count, head_dim, out);
      return;
    case KvType::kLatent: return;  // never rows
  }
}

}  // namespace llmq
