// CUDA's words for a plain C++ compiler: the kernels of src/cuda run on the CPU, so that their
// results are tested where there is no GPU.
//
// Every thread of a block is a fiber; a scheduler gives them turns until all have finished. Blocks
// run one after the other, or, if the launch is cooperative, together. Reported as failures:
// threads that wait at different barriers or not at all, shuffles of part of a warp. Shared memory
// is poison before a launch and has exactly the size that the launch asks for, so AddressSanitizer
// sees what is outside. Fibers take turns upwards or downwards: a missing barrier shows as another
// result.
#ifndef LLMQ_TESTS_CUDA_EMULATED_DEVICE_H_
#define LLMQ_TESTS_CUDA_EMULATED_DEVICE_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>

#include "base/half.h"

#define LLMQ_EMULATED_DEVICE 1
#define LLMQ_COMPILED_FOR host
#define LLMQ_DEVICE inline
#define LLMQ_KERNEL inline void
#define LLMQ_PARAMETER(Params) const Params
#define LLMQ_UNROLL
#define LLMQ_UNROLL_BY_4

struct uint2 {
  uint32_t x, y;
};
struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};
struct alignas(16) int4 {
  int32_t x, y, z, w;
};
struct alignas(16) float4 {
  float x, y, z, w;
};

namespace llmq::emulated {

struct Index {
  unsigned x;
};

// The running thread's place.
extern Index thread_index, block_index, grid_dim;
extern unsigned char* shared_memory;

// Gives the turn to the next fiber.
void Yield();
// Barriers; `line` tells one from another.
void SyncBlock(int line);
void SyncWarp(int line);
// The bits that lane (own ^ mask) of the warp brings.
uint32_t ShuffleXor(uint32_t bits, int mask, int line);

// What every lane of a warp brings to a product on tensor cores.
struct Fragments {
  uint32_t a[4], b[2];
};
// Those of all lanes, to be read before the warp meets again but once.
const Fragments* Exchange(const Fragments& own, int line);

struct LaunchShape {
  int blocks = 1;
  int threads = 256;
  int shared_bytes = 0;
  bool cooperative = false;  // all blocks run together
  bool downwards = false;    // the last thread of the last block goes first
};
// Runs `thread` once for every thread. Throws std::logic_error if they cannot go on.
void Launch(const LaunchShape& shape, const std::function<void()>& thread);

template <typename T>
T Shuffle(T value, int mask, int line) {
  static_assert(sizeof(T) == 4);
  return std::bit_cast<T>(ShuffleXor(std::bit_cast<uint32_t>(value), mask, line));
}

}  // namespace llmq::emulated

#define threadIdx (::llmq::emulated::thread_index)
#define blockIdx (::llmq::emulated::block_index)
#define gridDim (::llmq::emulated::grid_dim)
#define __syncthreads() ::llmq::emulated::SyncBlock(__LINE__)
#define __syncwarp() ::llmq::emulated::SyncWarp(__LINE__)
#define __shfl_xor_sync(lanes, value, mask) ::llmq::emulated::Shuffle(value, mask, __LINE__)
#define __threadfence() static_cast<void>(0)

namespace llmq::cuda {
inline namespace LLMQ_COMPILED_FOR {

inline unsigned char* SharedMemory() { return emulated::shared_memory; }

inline float FromHalf(uint16_t half) { return HalfToFloat(half); }
inline uint16_t ToHalf(float value) { return FloatToHalf(value); }
inline unsigned FloatBits(float value) { return std::bit_cast<unsigned>(value); }
inline float BitsFloat(unsigned bits) { return std::bit_cast<float>(bits); }
inline float RoundToEven(float value) { return std::nearbyintf(value); }

template <typename T>
T LoadWeights(const T* from) {
  return *from;
}
inline float4 LoadShared(const float4* from) { return *from; }
inline float LoadShared(const float* from) { return *from; }
// Reads, so that a prefetch past the end of memory is seen. A device would ignore it.
inline void Prefetch(const void* at) { static_cast<void>(*static_cast<const volatile char*>(at)); }

// Who waits for another block lets it run.
inline unsigned LoadAcquire(const unsigned* from) {
  emulated::Yield();
  return *from;
}
inline unsigned atomicAdd(unsigned* to, unsigned value) {
  const unsigned before = *to;
  *to += value;
  return before;
}
inline unsigned atomicExch(unsigned* to, unsigned value) {
  const unsigned before = *to;
  *to = value;
  return before;
}
// mma.m16n8k32 of the PTX manual, signed bytes: lane 4 g + i has of A [16, 32] the columns
// 4 i + [0, 4) of row g and of row g + 8, then the same 16 columns on; of B [32, 8] those rows of
// column g; of the sums [16, 8] the columns 2 i and 2 i + 1 of row g, then of row g + 8.
inline void MultiplyAdd(const uint32_t (&a)[4], const uint32_t (&b)[2], int (&sums)[4]) {
  const auto* lanes = emulated::Exchange({{a[0], a[1], a[2], a[3]}, {b[0], b[1]}}, __LINE__);
  const auto signed_byte = [](uint32_t word, int i) {
    return static_cast<int8_t>(word >> (8 * i));
  };
  const int group = static_cast<int>(emulated::thread_index.x) % 32 / 4;
  const int place = static_cast<int>(emulated::thread_index.x) % 4;
  for (int i = 0; i < 4; ++i) {
    for (int k = 0; k < 32; ++k) {
      const int lane = k % 16 / 4;
      const uint32_t row = lanes[group * 4 + lane].a[k / 16 * 2 + i / 2];
      const uint32_t column = lanes[(place * 2 + i % 2) * 4 + lane].b[k / 16];
      sums[i] += signed_byte(row, k % 4) * signed_byte(column, k % 4);
    }
  }
}
inline int __dp4a(int a, int b, int sum) {
  for (int byte = 0; byte < 4; ++byte)
    sum += static_cast<int8_t>(a >> (8 * byte)) * static_cast<int8_t>(b >> (8 * byte));
  return sum;
}

}  // namespace LLMQ_COMPILED_FOR
}  // namespace llmq::cuda

#endif  // LLMQ_TESTS_CUDA_EMULATED_DEVICE_H_
