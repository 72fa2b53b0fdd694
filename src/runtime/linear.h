// y = x W^T + b for every way in which W may be stored, for one token or many.
//
// Before: runtime/transformer, with activations. After: kernels. Outputs are split over the
// threads, sums never are, so the result does not depend on how many threads there are.
#ifndef LLMQ_RUNTIME_LINEAR_H_
#define LLMQ_RUNTIME_LINEAR_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "runtime/weights.h"

namespace llmq {

// Runs linear layers. Owns scratch memory, so one per sequence; borrows the pool.
class LinearRunner {
 public:
  LinearRunner(const KernelTable& kernels, ThreadPool& pool);

  // x [T, d_in] f32 -> y [T, d_out] f32.
  void Run(const WeightMatrix& w, const float* x, int64_t tokens, float* y);
  // out [d_in] f32: one row of an embedding. Precondition: w is not kLittleBit, row < d_out.
  void Row(const WeightMatrix& w, int64_t row, float* out) const;

 private:
  void RunFew(const WeightMatrix& w, const float* x, int64_t tokens, float* y);
  void RunMany(const WeightMatrix& w, const float* x, int64_t tokens, float* y);
  void RunCompressedFew(const WeightMatrix& w, const float* x, int64_t tokens, float* y);
  void RunCompressedMany(const WeightMatrix& w, const float* x, int64_t tokens, float* y);
  void LatentMany(const LittleBitPathView& path, const float* x, int64_t tokens);
  void OutputMany(const LittleBitPathView& path, int64_t tokens, bool first, float* y);
  void ForEachTile(int64_t count,
                   const std::function<void(int thread, int64_t begin, int64_t end)>& body);
  // At least `size` floats in every thread's scratch.
  void ReserveTiles(int64_t size);

  const KernelTable& kernels_;
  ThreadPool& pool_;
  std::vector<float> scaled_;              // few: [T, paths, d_in] f32; many: [T, d_in]
  std::vector<float> latent_;              // few: [T, paths, r] f32; many: [T, r]
  std::vector<std::vector<float>> tiles_;  // per thread
};

}  // namespace llmq

#endif  // LLMQ_RUNTIME_LINEAR_H_
