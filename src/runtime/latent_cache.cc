#include "runtime/latent_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "llmq/error.h"
#include "runtime/kv_cache.h"

namespace llmq {
namespace {

int64_t NumberBytes(bool exact) { return exact ? 4 : 2; }

}  // namespace

int64_t LatentCache::BytesPerToken(const ModelWeights& weights, bool exact) {
  const ModelConfig& config = weights.config();
  int64_t latents = 0;
  for (const LayerWeights& layer : weights.layers()) {
    for (const WeightMatrix* matrix : {&layer.k, &layer.v}) {
      if (matrix->form != WeightForm::kLittleBit) {
        throw Error(ErrorCode::kInvalidArguments,
                    "--kv latent: expected compressed K and V projections, found others",
                    "Use another type of --kv with this model.");
      }
      latents += matrix->latents();
    }
  }
  const int64_t numbers = 2 * config.num_layers * config.num_kv_heads * config.head_dim;
  if (latents >= numbers) {
    throw Error(ErrorCode::kInvalidArguments,
                fmt::format("--kv latent: expected fewer latents than keys and values, which are "
                            "{} numbers a token, found {}",
                            numbers, latents),
                "Use --kv f16 or --kv q8, which are smaller and faster for this model.");
  }
  return latents * NumberBytes(exact);
}

LatentCache::LatentCache(const ModelWeights& weights, bool exact, int64_t capacity,
                         const FloatKernels& floats)
    : floats_(floats),
      type_(exact ? DenseType::kF32 : DenseType::kF16),
      number_bytes_(NumberBytes(exact)),
      memory_(AllocateCache(BytesPerToken(weights, exact), capacity)) {
  int64_t offset = 0;
  for (const LayerWeights& layer : weights.layers()) {
    for (const WeightMatrix* matrix : {&layer.k, &layer.v}) {
      rows_.push_back({matrix->latents(), offset});
      offset += capacity * matrix->latents() * number_bytes_;
      most_latents_ = std::max(most_latents_, matrix->latents());
    }
  }
}

void LatentCache::Store(int64_t layer, Part part, int64_t position, int64_t tokens,
                        const float* latents) {
  const Rows& rows = At(layer, part);
  std::byte* to = memory_.bytes().data() + rows.offset + position * rows.latents * number_bytes_;
  const int64_t n = tokens * rows.latents;
  if (type_ == DenseType::kF32) {
    std::memcpy(to, latents, static_cast<size_t>(4 * n));
  } else {
    floats_.to_half(latents, n, reinterpret_cast<uint16_t*>(to));
  }
}

void LatentCache::Load(int64_t layer, Part part, int64_t position, float* out) const {
  const Rows& rows = At(layer, part);
  floats_.to_float[static_cast<int>(type_)](
      memory_.data() + rows.offset + position * rows.latents * number_bytes_, rows.latents, out);
}

}  // namespace llmq
