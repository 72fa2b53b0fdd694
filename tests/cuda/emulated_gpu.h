// A GPU whose kernels are emulated (emulated_device.h), with the interface of a real one.
#ifndef LLMQ_TESTS_CUDA_EMULATED_GPU_H_
#define LLMQ_TESTS_CUDA_EMULATED_GPU_H_

#include <memory>

#include "cuda/gpu.h"

namespace llmq::testing {

struct EmulatedGpuOptions {
  int capacity = 3;        // blocks of threads that are on the device at once
  bool downwards = false;  // threads take turns from the last to the first
  bool meets = true;
  int most_shared = 227 << 10;  // bytes, of a block
  int64_t cache_bytes = 50 << 20;
};
// Memory is the machine's, poisoned when it is taken.
std::unique_ptr<cuda::Gpu> MakeEmulatedGpu(const EmulatedGpuOptions& options = {});

}  // namespace llmq::testing

#endif  // LLMQ_TESTS_CUDA_EMULATED_GPU_H_
