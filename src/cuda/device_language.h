// The few words of CUDA that the kernels use, so that a plain C++ compiler can read them too.
//
// nvcc gets CUDA's own; tests/cuda/emulated_device.h, included before this file, gives the same
// names to the host's compiler, so that the kernels are tested without a device. A program may have
// both, so each has a namespace of its own: else one kernel would be linked in the other's place.
#ifndef LLMQ_CUDA_DEVICE_LANGUAGE_H_
#define LLMQ_CUDA_DEVICE_LANGUAGE_H_

#include <cstdint>

#include "cuda/kernel_params.h"

#if defined(__CUDACC__)

#include <cuda_fp16.h>

#define LLMQ_COMPILED_FOR device
#define LLMQ_DEVICE __device__ __forceinline__
#define LLMQ_KERNEL __global__ void __launch_bounds__(::llmq::cuda::kThreads)
#define LLMQ_PARAMETER(Params) const __grid_constant__ Params
#define LLMQ_UNROLL _Pragma("unroll")
#define LLMQ_UNROLL_BY_4 _Pragma("unroll 4")

namespace llmq::cuda {
inline namespace LLMQ_COMPILED_FOR {

// The memory that a block shares, as much as the launch asked for.
LLMQ_DEVICE unsigned char* SharedMemory() {
  extern __shared__ __align__(16) unsigned char llmq_shared[];
  return llmq_shared;
}

LLMQ_DEVICE float FromHalf(uint16_t half) { return __half2float(__ushort_as_half(half)); }
LLMQ_DEVICE uint16_t ToHalf(float value) { return __half_as_ushort(__float2half_rn(value)); }
LLMQ_DEVICE unsigned FloatBits(float value) { return __float_as_uint(value); }
LLMQ_DEVICE float BitsFloat(unsigned bits) { return __uint_as_float(bits); }
LLMQ_DEVICE float RoundToEven(float value) { return rintf(value); }

// Weights are read once per step: they should not push out what is read again.
LLMQ_DEVICE uint4 LoadWeights(const uint4* from) { return __ldcs(from); }
LLMQ_DEVICE uint32_t LoadWeights(const uint32_t* from) { return __ldcs(from); }
// What other blocks of the same launch wrote: from the cache that all share.
LLMQ_DEVICE float4 LoadShared(const float4* from) { return __ldcg(from); }
LLMQ_DEVICE float LoadShared(const float* from) { return __ldcg(from); }
LLMQ_DEVICE void Prefetch(const void* at) { asm volatile("prefetch.global.L2 [%0];" ::"l"(at)); }

// sums [16, 8] += bits [16, 32] times bytes [32, 8], by the tensor cores; every lane of a warp
// brings and gets the elements that mma.m16n8k32 of the PTX manual says.
LLMQ_DEVICE void MultiplyAdd(const uint32_t (&bits)[4], const uint32_t (&bytes)[2],
                             int (&sums)[4]) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3])
      : "r"(bits[0]), "r"(bits[1]), "r"(bits[2]), "r"(bits[3]), "r"(bytes[0]), "r"(bytes[1]));
}

LLMQ_DEVICE unsigned LoadAcquire(const unsigned* from) {
  unsigned value;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(from) : "memory");
  return value;
}

}  // namespace LLMQ_COMPILED_FOR
}  // namespace llmq::cuda

#elif !defined(LLMQ_EMULATED_DEVICE)
#error "Kernels are compiled by nvcc, or after tests/cuda/emulated_device.h"
#endif

namespace llmq::cuda {
inline namespace LLMQ_COMPILED_FOR {

constexpr unsigned kAllLanes = 0xffffffffu;

LLMQ_DEVICE int Lane() { return static_cast<int>(threadIdx.x) % 32; }
LLMQ_DEVICE int WarpIndex() { return static_cast<int>(threadIdx.x) / 32; }

// Sums and maxima over a warp, the same in every lane: lanes whose numbers differ in bit 4 first.
LLMQ_DEVICE float WarpSum(float value) {
  for (int mask = 16; mask > 0; mask /= 2) value += __shfl_xor_sync(kAllLanes, value, mask);
  return value;
}
LLMQ_DEVICE int WarpSum(int value) {
  for (int mask = 16; mask > 0; mask /= 2) value += __shfl_xor_sync(kAllLanes, value, mask);
  return value;
}
LLMQ_DEVICE unsigned WarpMax(unsigned value) {
  for (int mask = 16; mask > 0; mask /= 2) {
    const unsigned other = __shfl_xor_sync(kAllLanes, value, mask);
    value = other > value ? other : value;
  }
  return value;
}

}  // namespace LLMQ_COMPILED_FOR
}  // namespace llmq::cuda

#endif  // LLMQ_CUDA_DEVICE_LANGUAGE_H_
