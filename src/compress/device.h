// Where the arithmetic happens: the CPU, or a CUDA device if there is one and LibTorch can use it.
//
// Before: pipeline has the user's word. After: factorize/ and train/ move tensors there. LibTorch's
// CUDA half is not linked (docs/decisions/0002-libtorch.md): it is opened here, when a CUDA driver
// is present.
#ifndef LLMQ_COMPRESS_DEVICE_H_
#define LLMQ_COMPRESS_DEVICE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "compress/torch_headers.h"

namespace llmq {

struct DeviceChoice {
  at::Device device = at::kCPU;
  std::string name = "cpu";  // or the CUDA device's: "NVIDIA ..."
  // Why `auto` did not take the CUDA device that seems to be there; empty: nothing to say.
  std::string passed_over;

  std::string Description() const;  // "cpu" or "cuda:0 (NVIDIA ...)"
};

// `wanted`: auto, cpu, cuda or cuda:N. Throws Error{kInvalidArguments} for another word and if
// CUDA is wanted and cannot be had, saying why; auto then means the CPU. Must be called before
// anything else asks LibTorch about CUDA.
DeviceChoice ChooseDevice(const std::string& wanted);

// It multiplies bf16 faster than float32: CUDA devices of compute capability 8 and above.
bool HasFastBf16(at::Device device);

// Of the device, or of the machine for the CPU; nullopt if it cannot be known.
std::optional<uint64_t> FreeMemoryBytes(at::Device device);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_DEVICE_H_
