// Compressed layers for more tokens than one launch of cuda/compressed_kernel.h takes.
//
// Before: cuda/device_forward. After: cuda/prompt_kernels.h, four launches for each path: inputs
// rounded, signs of V, latents rounded, signs of U. Owns the memory in between; borrows the GPU.
#ifndef LLMQ_CUDA_PROMPT_PRODUCTS_H_
#define LLMQ_CUDA_PROMPT_PRODUCTS_H_

#include <span>
#include <vector>

#include "cuda/gpu.h"

namespace llmq::cuda {

class PromptProducts {
 public:
  PromptProducts() = default;
  // Room for each of the calls with so many tokens.
  PromptProducts(Gpu& gpu, std::span<const CompressedParams> calls, int tokens);

  // The call with its tokens; partials, meeting and prefetches are not used.
  void Run(const CompressedParams& call);

 private:
  // Between the launches, of matrix m of a call.
  struct Scratch {
    DeviceMemory rounded;  // [T, column blocks, kPreparedWords]: inputs, then latents
    DeviceMemory latents;  // [T, rank] f32
  };

  void RunPath(const CompressedParams& call, int index);

  Gpu* gpu_ = nullptr;
  std::vector<Scratch> scratch_;
};

}  // namespace llmq::cuda

#endif  // LLMQ_CUDA_PROMPT_PRODUCTS_H_
