// Attention of one sequence over its cache of keys and values.
//
// Before: cuda/launch.h; queries are turned and the cache is filled (cuda/step_kernels.h). After:
// the output projection's input. A block takes one head of one token over one part of the
// positions, so that a long text keeps the whole device busy; the block that finishes last puts the
// parts together, in their order: results do not depend on which one that is.
#ifndef LLMQ_CUDA_ATTENTION_KERNEL_H_
#define LLMQ_CUDA_ATTENTION_KERNEL_H_

#include "cuda/device_language.h"
#include "cuda/kernel_params.h"
#include "cuda/step_kernels.h"

namespace llmq::cuda {
inline namespace LLMQ_COMPILED_FOR {

// What a warp knows of the positions it has seen: the largest score, the sum of exponentials, and
// values weighted by them; dimension Lane() + 32 i in acc[i].
constexpr int kLaneDims = kMaxHeadDim / kWarp;
struct SoftmaxState {
  float largest = -INFINITY;
  float sum = 0;
  float acc[kLaneDims] = {};
};

// Positions at + kWarps i of a warp are read several at a time, so that loads do not wait for sums.
constexpr int kPositionsAtOnce = 4;

LLMQ_DEVICE void AddPositions(const AttentionParams& p, const float (&q)[kLaneDims],
                              const char* keys, const char* values, int64_t row_bytes, int at,
                              int last, SoftmaxState& state) {
  float score[kPositionsAtOnce];
  LLMQ_UNROLL
  for (int i = 0; i < kPositionsAtOnce; ++i) {
    const int position = at + i * kWarps < last ? at + i * kWarps : last;
    const char* key = keys + position * row_bytes;
    float sum = 0;
    LLMQ_UNROLL
    for (int n = 0; n < kLaneDims; ++n) {
      const int d = Lane() + n * kWarp;
      if (d < p.head_dim) sum = fmaf(q[n], CacheValue(key, p.half, d), sum);
    }
    score[i] = at + i * kWarps <= last ? WarpSum(sum) * p.scale : -INFINITY;
  }
  float largest = state.largest;
  LLMQ_UNROLL
  for (int i = 0; i < kPositionsAtOnce; ++i) largest = score[i] > largest ? score[i] : largest;
  const float shrink = expf(state.largest - largest);  // 0 the first time
  state.largest = largest;
  state.sum *= shrink;
  LLMQ_UNROLL
  for (int n = 0; n < kLaneDims; ++n) state.acc[n] *= shrink;
  LLMQ_UNROLL
  for (int i = 0; i < kPositionsAtOnce; ++i) {
    const int position = at + i * kWarps < last ? at + i * kWarps : last;
    const char* value = values + position * row_bytes;
    const float weight = expf(score[i] - largest);  // 0 past the last position
    state.sum += weight;
    LLMQ_UNROLL
    for (int n = 0; n < kLaneDims; ++n) {
      const int d = Lane() + n * kWarp;
      if (d < p.head_dim) state.acc[n] = fmaf(weight, CacheValue(value, p.half, d), state.acc[n]);
    }
  }
}

// What is known of some positions: as SoftmaxState, with the one weighted value of dimension
// threadIdx.x.
struct PartSums {
  float largest;
  float sum;
  float value;
};
static_assert(kMaxHeadDim <= kThreads);

// Shared memory: [kWarps, kMaxHeadDim] weighted values, then [kWarps] largest scores and sums.
constexpr int kAttentionSharedBytes = (kWarps * kMaxHeadDim + 2 * kWarps) * 4;

// Precondition: warp 0 has seen a position.
LLMQ_DEVICE PartSums CombineWarps(const SoftmaxState& state) {
  auto* values = reinterpret_cast<float*>(SharedMemory());
  float* largest = values + kWarps * kMaxHeadDim;
  float* sums = largest + kWarps;
  LLMQ_UNROLL
  for (int n = 0; n < kLaneDims; ++n) {
    values[WarpIndex() * kMaxHeadDim + Lane() + n * kWarp] = state.acc[n];
  }
  if (Lane() == 0) {
    largest[WarpIndex()] = state.largest;
    sums[WarpIndex()] = state.sum;
  }
  __syncthreads();
  PartSums all = {.largest = largest[0], .sum = 0, .value = 0};
  for (int w = 1; w < kWarps; ++w)
    all.largest = largest[w] > all.largest ? largest[w] : all.largest;
  for (int w = 0; w < kWarps; ++w) {
    const float weight = expf(largest[w] - all.largest);
    all.sum += sums[w] * weight;
    all.value += values[w * kMaxHeadDim + static_cast<int>(threadIdx.x)] * weight;
  }
  return all;
}

// Whether this block is the last of `count` that call it; then it sees what the others wrote
// before. Leaves *arrived zero for the next launch.
LLMQ_DEVICE bool IsLastOf(int count, unsigned* arrived) {
  auto* last = reinterpret_cast<bool*>(SharedMemory());
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    *last = atomicAdd(arrived, 1u) == static_cast<unsigned>(count) - 1;
    if (*last) atomicExch(arrived, 0u);
    __threadfence();
  }
  __syncthreads();
  return *last;
}

// The sums of parts [first, last] of one head of one token, `stride` floats apart: values
// [head_dim], largest score, sum.
LLMQ_DEVICE PartSums CombineParts(const float* parts, int stride, int head_dim, int first,
                                  int last) {
  PartSums all = {.largest = -INFINITY, .sum = 0, .value = 0};
  for (int i = first; i <= last; ++i) {
    const float largest = LoadShared(parts + int64_t{i} * stride + head_dim);
    all.largest = largest > all.largest ? largest : all.largest;
  }
  const int d = static_cast<int>(threadIdx.x);
  for (int i = first; i <= last; ++i) {
    const float* part = parts + int64_t{i} * stride;
    const float weight = expf(LoadShared(part + head_dim) - all.largest);
    all.sum += LoadShared(part + head_dim + 1) * weight;
    if (d < head_dim) all.value += LoadShared(part + d) * weight;
  }
  return all;
}

LLMQ_KERNEL AttentionKernel(LLMQ_PARAMETER(AttentionParams) p) {
  const int part = static_cast<int>(blockIdx.x) % p.num_parts;
  const int row = static_cast<int>(blockIdx.x) / p.num_parts;
  const int t = row / p.heads;
  const int kv_head = row % p.heads / (p.heads / p.kv_heads);
  const int last = p.step->position + t;
  const int first = p.window > 0 && last + 1 > p.window ? last + 1 - p.window : 0;
  const int first_part = first / p.part_positions;
  const int last_part = last / p.part_positions;
  if (part < first_part || part > last_part) return;
  const int64_t at = int64_t{row} * p.head_dim;
  float q[kLaneDims];
  LLMQ_UNROLL
  for (int n = 0; n < kLaneDims; ++n) {
    const int d = Lane() + n * kWarp;
    q[n] = d < p.head_dim ? p.q[at + d] : 0.0f;
  }
  const int64_t row_bytes = p.head_dim * (p.half ? 2 : 4);
  const int64_t offset = CacheOffset(p.capacity, p.head_dim, p.half, kv_head, 0);
  const char* keys = static_cast<const char*>(p.keys) + offset;
  const char* values = static_cast<const char*>(p.values) + offset;
  const int begin = part == first_part ? first : part * p.part_positions;
  const int end = part == last_part ? last : (part + 1) * p.part_positions - 1;
  SoftmaxState state;
  for (int position = begin + WarpIndex(); position <= end; position += kPositionsAtOnce * kWarps)
    AddPositions(p, q, keys, values, row_bytes, position, end, state);

  PartSums sums = CombineWarps(state);
  const int d = static_cast<int>(threadIdx.x);
  if (first_part < last_part) {
    const int stride = p.head_dim + kPartExtra;
    float* parts = p.parts + int64_t{row} * p.num_parts * stride;
    float* own = parts + int64_t{part} * stride;
    if (d < p.head_dim) own[d] = sums.value;
    if (d == 0) {
      own[p.head_dim] = sums.largest;
      own[p.head_dim + 1] = sums.sum;
    }
    if (!IsLastOf(last_part - first_part + 1, p.arrived + row)) return;
    sums = CombineParts(parts, stride, p.head_dim, first_part, last_part);
  }
  if (d < p.head_dim) p.out[at + d] = sums.value / sums.sum;
}

}  // namespace LLMQ_COMPILED_FOR
}  // namespace llmq::cuda

#endif  // LLMQ_CUDA_ATTENTION_KERNEL_H_
