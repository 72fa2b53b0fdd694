// OpenGpu of a program that was built without CUDA.
#include "cuda/gpu.h"
#include "llmq/error.h"

namespace llmq::cuda {

std::unique_ptr<Gpu> OpenGpu(int) {
  throw Error(ErrorCode::kInvalidArguments,
              "expected a CUDA device, found a program built without CUDA",
              "Build with -DLLMQ_CUDA=ON");
}

}  // namespace llmq::cuda
