// The latent KV cache: what the first stage of compressed K and V projections makes of a token,
// instead of keys and values.
//
//   latents of K: t_p = V_p (g_p x), r numbers for each path p, before l_p is applied
//
// Before: runtime/compressed_linear gives latents. After: runtime/latent_attention makes keys and
// values of them again, for every token that attends. Latents are f16, or f32 where activations
// stay f32: then nothing is lost.
#ifndef LLMQ_RUNTIME_LATENT_CACHE_H_
#define LLMQ_RUNTIME_LATENT_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/kernels.h"
#include "runtime/large_memory.h"
#include "runtime/weights.h"

namespace llmq {

class LatentCache {
 public:
  // Throws as BytesPerToken does, and Error{kOutOfMemory}.
  LatentCache(const ModelWeights& weights, bool exact, int64_t capacity,
              const FloatKernels& floats);

  // Of all layers. Throws Error{kInvalidArguments} if a K or V projection is not compressed, or if
  // latents are not fewer than keys and values.
  static int64_t BytesPerToken(const ModelWeights& weights, bool exact);

  enum Part { kKeys, kValues };
  // latents [T, latents of the projection] f32 of positions [position, position + T).
  void Store(int64_t layer, Part part, int64_t position, int64_t tokens, const float* latents);
  // out [latents of the projection] f32, of one position.
  void Load(int64_t layer, Part part, int64_t position, float* out) const;
  int64_t most_latents() const { return most_latents_; }  // of a projection

 private:
  struct Rows {
    int64_t latents;  // of a position
    int64_t offset;   // of position 0, in bytes
  };
  const Rows& At(int64_t layer, Part part) const { return rows_[2 * layer + part]; }

  const FloatKernels& floats_;
  DenseType type_;
  int64_t number_bytes_;
  int64_t most_latents_ = 0;
  std::vector<Rows> rows_;  // [layers, 2]
  LargeMemory memory_;
};

}  // namespace llmq

#endif  // LLMQ_RUNTIME_LATENT_CACHE_H_
