// The small parts of a block that are plain loops: rotation by position, the residual.
//
// Before and after: runtime/transformer. Normalisation and activation are kernels.
#ifndef LLMQ_RUNTIME_LAYERS_H_
#define LLMQ_RUNTIME_LAYERS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "llmq/model_config.h"

namespace llmq {

// gate[i] = activation(gate[i]) * up[i] for n floats, over the threads.
void ActivateGate(Activation activation, const FloatKernels& floats, ThreadPool& pool,
                  const float* up, int64_t n, float* gate);

// x[i] = activation(x[i]) for n floats, over the threads.
void Activate(Activation activation, ThreadPool& pool, int64_t n, float* x);

// x[i] = cap * tanh(x[i] / cap) for n floats.
void SoftCap(double cap, float* x, int64_t n);

// x[i] += y[i] for n floats.
void AddInPlace(float* x, const float* y, int64_t n);

// Cosines and sines of all positions so far, each with the frequencies of its time.
class RopeTable {
 public:
  // Positions [first, first + tokens), anew if they were filled before.
  void Fill(const RopeFrequencies& frequencies, int64_t first, int64_t tokens);
  // Rotates the first values of each head of x [T, heads, head_dim] f32 of positions
  // [first, first + T) in place, as many as turn (dim): pairs (i, i + dim / 2), or (2i, 2i + 1) if
  // `interleaved`.
  void Apply(bool interleaved, int64_t first, int64_t tokens, int64_t heads, int64_t head_dim,
             float* x) const;

  std::span<const float> cos() const { return cos_; }  // [T, dim / 2]
  std::span<const float> sin() const { return sin_; }

 private:
  int64_t half_ = 0;
  std::vector<float> cos_;  // [positions, dim / 2]
  std::vector<float> sin_;  // [positions, dim / 2]
};

}  // namespace llmq

#endif  // LLMQ_RUNTIME_LAYERS_H_
