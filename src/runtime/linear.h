// y = x W^T + b for every way in which W may be stored, for one token or many.
//
// Before: runtime/transformer, with activations. After: kernels. Outputs are split over the
// threads, sums never are, so the result does not depend on how many threads there are.
#ifndef LLMQ_RUNTIME_LINEAR_H_
#define LLMQ_RUNTIME_LINEAR_H_

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "runtime/compressed_linear.h"
#include "runtime/weights.h"

namespace llmq {

// One of several products for the same number of tokens.
struct LinearCall {
  const WeightMatrix* w;
  const float* x;  // [T, d_in] f32
  float* y;        // [T, d_out] f32
  // y [T, w->latents()] f32 instead: only the first stage of a compressed matrix.
  bool latents = false;
};

// Runs linear layers. Owns scratch memory, so one per sequence; borrows the pool.
class LinearRunner {
 public:
  // `exact`: all inputs stay float32; otherwise those of compressed and grouped matrices are
  // rounded to 8 bits. Either way the result is the same on every instruction set, but for more
  // than a few tokens at a time with matrices whose inputs stay float32, which are Eigen's.
  LinearRunner(const KernelTable& kernels, bool exact, ThreadPool& pool);

  void Run(std::span<const LinearCall> calls, int64_t tokens);
  void Run(const WeightMatrix& w, const float* x, int64_t tokens, float* y);
  // The second stage and the bias for outputs [begin, end), begin a multiple of 16. For bodies of
  // loops over the threads: `thread` is the caller's. latents [w.latents()] f32 of one token, out
  // [end - begin] f32. Precondition: w is kLittleBit.
  void Expand(int thread, const WeightMatrix& w, const float* latents, int64_t begin, int64_t end,
              float* out);
  // Every token by itself: the same bits however many there are. Precondition: w is kDense.
  void RunEach(const WeightMatrix& w, const float* x, int64_t tokens, float* y);
  // out [d_in] f32: one row of an embedding. Precondition: w is not kLittleBit, row < d_out.
  void Row(const WeightMatrix& w, int64_t row, float* out) const;

 private:
  void RunFew(const WeightMatrix& w, const float* x, int64_t tokens, float* y);
  void RunGrouped(const WeightMatrix& w, const float* x, int64_t tokens, float* y);
  void RunMany(const WeightMatrix& w, const float* x, int64_t tokens, float* y);

  const KernelTable& kernels_;
  bool exact_;
  ThreadPool& pool_;
  CompressedLinear compressed_;
  std::vector<CompressedCall> compressed_calls_;
  std::vector<std::vector<float>> tiles_;  // per thread
  LargeMemory inputs_{0};                  // [T] prepared inputs of grouped matrices
};

}  // namespace llmq

#endif  // LLMQ_RUNTIME_LINEAR_H_
