#include "runtime/kv_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>

#include "base/bytes.h"
#include "llmq/error.h"
#include "llmq/group_quant.h"

namespace llmq {
namespace {

int64_t RowBytes(KvType type, int64_t head_dim) {
  switch (type) {
    case KvType::kF32: return 4 * head_dim;
    case KvType::kF16: return 2 * head_dim;
    case KvType::kQ8: return GroupQuantRowBytes({1, head_dim, 8});
    case KvType::kLatent: break;
  }
  return 0;
}

// A damaged model's numbers stay recognisable: grouping expects finite ones.
void StoreGrouped(std::span<const float> row, std::byte* to) {
  const GroupQuantShape shape{1, static_cast<int64_t>(row.size()), 8};
  const std::span<std::byte> bytes(to, static_cast<size_t>(GroupQuantRowBytes(shape)));
  if (std::all_of(row.begin(), row.end(), [](float value) { return std::isfinite(value); })) {
    QuantizeGroups(shape, row, bytes);
  } else {
    std::fill(bytes.begin(), bytes.end(), std::byte{0xff});  // scales: NaN
  }
}

}  // namespace

LargeMemory AllocateCache(int64_t bytes_per_token, int64_t capacity) {
  const auto bytes =
      CheckedMul(static_cast<uint64_t>(bytes_per_token), static_cast<uint64_t>(capacity));
  try {
    if (bytes) return LargeMemory(*bytes);
  } catch (const Error&) {
    // The message below says more.
  }
  throw Error(ErrorCode::kOutOfMemory,
              fmt::format("key-value cache: expected memory for {} tokens of {} bytes, found less",
                          capacity, bytes_per_token),
              "Use a shorter context.");
}

int64_t KvCache::BytesPerToken(const ModelConfig& config, KvType type) {
  return 2 * config.num_layers * config.num_kv_heads * RowBytes(type, config.head_dim);
}

KvCache::KvCache(const ModelConfig& config, int64_t capacity, KvType type,
                 const FloatKernels& floats)
    : type_(type),
      floats_(floats),
      kv_heads_(config.num_kv_heads),
      head_dim_(config.head_dim),
      capacity_(capacity),
      row_bytes_(RowBytes(type, head_dim_)),
      memory_(AllocateCache(BytesPerToken(config, type), capacity)) {
  values_ = config.num_layers * kv_heads_ * capacity_ * row_bytes_;
}

void KvCache::Store(int64_t layer, int64_t position, int64_t tokens, const float* keys,
                    const float* values) {
  std::byte* memory = memory_.bytes().data();
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t h = 0; h < kv_heads_; ++h) {
      const int64_t to = Offset(layer, h) + (position + t) * row_bytes_;
      const int64_t from = (t * kv_heads_ + h) * head_dim_;
      StoreRow(keys + from, memory + to);
      StoreRow(values + from, memory + values_ + to);
    }
  }
}

void KvCache::StoreRow(const float* row, std::byte* to) const {
  switch (type_) {
    case KvType::kF32: std::memcpy(to, row, static_cast<size_t>(row_bytes_)); return;
    case KvType::kF16: floats_.to_half(row, head_dim_, reinterpret_cast<uint16_t*>(to)); return;
    case KvType::kQ8: StoreGrouped({row, static_cast<size_t>(head_dim_)}, to); return;
    case KvType::kLatent: return;
  }
}

}  // namespace llmq
