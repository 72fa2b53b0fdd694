#include "runtime/latent_attention.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace llmq {
namespace {

// Keys and values that are made at a time: heads share what is prepared of a latent, and one
// layer's may not outgrow the whole cache.
constexpr int64_t kRebuiltBytes = 8 << 20;
constexpr int64_t kPositions = 8;  // a piece of work

// As many heads as kRebuiltBytes hold, whose first output is one that kernels can begin with.
int64_t HeadsAtOnce(const ModelConfig& config, int64_t positions) {
  const int64_t head_bytes = 2 * 4 * positions * config.head_dim;
  const int64_t unit = kTileRows / std::gcd(kTileRows, config.head_dim);
  return std::max<int64_t>(1, kRebuiltBytes / head_bytes / unit) * unit;
}

}  // namespace

LatentAttention::LatentAttention(const ModelWeights& weights, bool exact, int64_t capacity,
                                 const FloatKernels& floats, LinearRunner& linear,
                                 Attention& attention, ThreadPool& pool, FinishKeys finish_keys)
    : weights_(weights),
      config_(weights.config()),
      cache_(weights, exact, capacity, floats),
      linear_(linear),
      attention_(attention),
      pool_(pool),
      finish_keys_(std::move(finish_keys)),
      scratch_(static_cast<size_t>(pool.size())) {
  for (Scratch& scratch : scratch_) {
    scratch.latents.resize(static_cast<size_t>(cache_.most_latents()));
    scratch.heads.resize(static_cast<size_t>(config_.num_kv_heads * config_.head_dim));
  }
}

void LatentAttention::Run(int64_t layer, int64_t position, int64_t tokens, const float* k,
                          const float* v, const float* q, float* out) {
  cache_.Store(layer, LatentCache::kKeys, position, tokens, k);
  cache_.Store(layer, LatentCache::kValues, position, tokens, v);
  const int64_t window = config_.WindowOf(layer);
  const int64_t first = window > 0 ? std::max<int64_t>(0, position + 1 - window) : 0;
  const int64_t end = position + tokens;
  const int64_t step = HeadsAtOnce(config_, end - first);
  const int64_t head_numbers = (end - first) * config_.head_dim;
  for (int64_t begin = 0; begin < config_.num_kv_heads; begin += step) {
    const KvHeads heads{begin, std::min(config_.num_kv_heads, begin + step)};
    Rebuild(layer, first, end, heads);
    const auto rows_of = [&](int64_t kv_head) {
      const int64_t at = (kv_head - begin) * head_numbers;
      return HeadRows{.type = KvType::kF32,
                      .row_bytes = 4 * config_.head_dim,
                      .first = first,
                      .keys = reinterpret_cast<const std::byte*>(keys_.data() + at),
                      .values = reinterpret_cast<const std::byte*>(values_.data() + at)};
    };
    attention_.Run(rows_of, heads, layer, position, tokens, q, out);
  }
}

void LatentAttention::Rebuild(int64_t layer, int64_t first, int64_t end, KvHeads heads) {
  const int64_t head_dim = config_.head_dim;
  const int64_t positions = end - first;
  const auto size = static_cast<size_t>((heads.end - heads.begin) * positions * head_dim);
  for (std::vector<float>* all : {&keys_, &values_}) {
    if (all->size() < size) all->resize(size);
  }
  pool_.ForEach(positions, kPositions, [&](int thread, int64_t begin, int64_t last) {
    for (int64_t p = begin; p < last; ++p) {
      for (const auto part : {LatentCache::kKeys, LatentCache::kValues}) {
        float* from = scratch_[thread].heads.data();
        RebuildPosition(thread, layer, first + p, heads, part, from);
        float* to = (part == LatentCache::kKeys ? keys_ : values_).data() + p * head_dim;
        for (int64_t h = heads.begin; h < heads.end; ++h) {
          std::copy_n(from, head_dim, to);
          from += head_dim;
          to += positions * head_dim;
        }
      }
    }
  });
}

void LatentAttention::RebuildPosition(int thread, int64_t layer, int64_t position, KvHeads heads,
                                      LatentCache::Part part, float* out) {
  const LayerWeights& weights = weights_.layers()[layer];
  const bool keys = part == LatentCache::kKeys;
  float* latents = scratch_[thread].latents.data();
  cache_.Load(layer, part, position, latents);
  linear_.Expand(thread, keys ? weights.k : weights.v, latents, heads.begin * config_.head_dim,
                 heads.end * config_.head_dim, out);
  if (keys) finish_keys_(layer, position, heads.end - heads.begin, out);
}

}  // namespace llmq
