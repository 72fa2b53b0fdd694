// What stands between the compressed layers of a step: dense and grouped rows, embeddings, rotation
// by position. Attention: cuda/attention_kernel.h.
//
// Before: cuda/launch.h. After: activations in device memory. Sums are in a fixed order of their
// own, so results are the same on every device, and agree with the CPU's to rounding.
#ifndef LLMQ_CUDA_STEP_KERNELS_H_
#define LLMQ_CUDA_STEP_KERNELS_H_

#include "cuda/device_language.h"
#include "cuda/input_values.h"
#include "cuda/kernel_params.h"

namespace llmq::cuda {
inline namespace LLMQ_COMPILED_FOR {

// Where this warp stands among all of the grid, and how many there are.
LLMQ_DEVICE int GlobalWarp() { return static_cast<int>(blockIdx.x) * kWarps + WarpIndex(); }
LLMQ_DEVICE int GlobalWarps() { return static_cast<int>(gridDim.x) * kWarps; }

// --- Rows of numbers. ----------------------------------------------------------------------------

constexpr int kGroup8 = 64;  // codes that share a scale, as llmq/group_quant.h has it

template <RowType type>
LLMQ_DEVICE float Element(const char* row, int cols, int j) {
  if constexpr (type == RowType::kF32) {
    return reinterpret_cast<const float*>(row)[j];
  } else if constexpr (type == RowType::kF16) {
    return FromHalf(reinterpret_cast<const uint16_t*>(row)[j]);
  } else if constexpr (type == RowType::kBF16) {
    return BitsFloat(uint32_t{reinterpret_cast<const uint16_t*>(row)[j]} << 16);
  } else {
    const auto* scales = reinterpret_cast<const uint16_t*>(row + cols);
    return static_cast<float>(reinterpret_cast<const int8_t*>(row)[j]) *
           FromHalf(scales[j / kGroup8]);
  }
}

LLMQ_DEVICE void PairValues(uint32_t pair, bool bf16, float& low, float& high) {
  low = bf16 ? BitsFloat(pair << 16) : FromHalf(static_cast<uint16_t>(pair));
  high = bf16 ? BitsFloat(pair & 0xffff0000u) : FromHalf(static_cast<uint16_t>(pair >> 16));
}

// Elements [first, first + 8) of a row, read at once. Precondition: rows and `first` are aligned to
// 8 elements and all eight are there.
template <RowType type>
LLMQ_DEVICE void EightElements(const char* row, int cols, int first, float (&w)[8]) {
  if constexpr (type == RowType::kF32) {
    LoadEight(reinterpret_cast<const float*>(row), cols, first, w);
  } else if constexpr (type == RowType::kGroup8) {
    const uint2 codes = *reinterpret_cast<const uint2*>(row + first);
    const auto* scales = reinterpret_cast<const uint16_t*>(row + cols);
    const float scale = FromHalf(scales[first / kGroup8]);
    LLMQ_UNROLL
    for (int i = 0; i < 8; ++i) {
      const uint32_t word = i < 4 ? codes.x : codes.y;
      w[i] = static_cast<float>(static_cast<int8_t>(word >> (i % 4 * 8))) * scale;
    }
  } else {
    const uint4 eight = LoadWeights(reinterpret_cast<const uint4*>(row) + first / 8);
    constexpr bool kBf16 = type == RowType::kBF16;
    PairValues(eight.x, kBf16, w[0], w[1]);
    PairValues(eight.y, kBf16, w[2], w[3]);
    PairValues(eight.z, kBf16, w[4], w[5]);
    PairValues(eight.w, kBf16, w[6], w[7]);
  }
}

// A lane's part of the products of one row with tokens [first_token, first_token + count), count at
// most T.
template <RowType type, int T>
LLMQ_DEVICE void RowSums(const RowProductParams& p, const char* row, int first_token, int count,
                         float (&sum)[T]) {
  const float* x = p.x + int64_t{first_token} * p.cols;
  if (p.cols % 8 != 0 || p.row_bytes % 16 != 0) {
    for (int j = Lane(); j < p.cols; j += kWarp) {
      const float w = Element<type>(row, p.cols, j);
      for (int t = 0; t < count; ++t) sum[t] = fmaf(w, x[int64_t{t} * p.cols + j], sum[t]);
    }
    return;
  }
  LLMQ_UNROLL_BY_4
  for (int first = Lane() * 8; first < p.cols; first += kWarp * 8) {
    float w[8];
    EightElements<type>(row, p.cols, first, w);
    LLMQ_UNROLL
    for (int t = 0; t < T; ++t) {
      if (t >= count) break;
      float in[8];
      LoadEight(x + int64_t{t} * p.cols, p.cols, first, in);
      LLMQ_UNROLL
      for (int i = 0; i < 8; ++i) sum[t] = fmaf(w[i], in[i], sum[t]);
    }
  }
}

// A warp takes one row after the other, T tokens at a time.
template <RowType type, int T>
LLMQ_KERNEL RowProductKernel(LLMQ_PARAMETER(RowProductParams) p) {
  for (int i = GlobalWarp(); i < p.rows; i += GlobalWarps()) {
    const char* row = static_cast<const char*>(p.w) + int64_t{i} * p.row_bytes;
    for (int token = 0; token < p.tokens; token += T) {
      const int count = p.tokens - token < T ? p.tokens - token : T;
      float sum[T] = {};
      RowSums<type, T>(p, row, token, count, sum);
      for (int t = 0; t < count; ++t) {
        const float all = WarpSum(sum[t]);
        if (Lane() != 0) continue;
        float* y = p.y + int64_t{token + t} * p.rows + i;
        const float value = p.bias != nullptr ? all + p.bias[i] : all;
        *y = p.accumulate ? *y + value : value;
      }
    }
  }
}

// A block takes one token.
LLMQ_KERNEL PrepareKernel(LLMQ_PARAMETER(PrepareParams) p) {
  auto* squares = reinterpret_cast<float*>(SharedMemory());  // [kWarps]
  float* inverse = squares + kWarps;
  const int t = static_cast<int>(blockIdx.x);
  const InputParams input = InputOfToken(p.input, p.cols, t);
  InverseRms<1>(input, p.cols, 1, squares, inverse);
  for (int first = static_cast<int>(threadIdx.x) * 8; first < p.cols; first += kThreads * 8) {
    float x[8] = {};
    InputValues(input, p.cols, 0, first, *inverse, x);
    for (int i = 0; i < 8 && first + i < p.cols; ++i) p.out[int64_t{t} * p.cols + first + i] = x[i];
  }
}
constexpr int kPrepareSharedBytes = (kWarps + 1) * 4;

// A block takes one token.
template <RowType type>
LLMQ_KERNEL EmbedKernel(LLMQ_PARAMETER(EmbedParams) p) {
  const int t = static_cast<int>(blockIdx.x);
  const char* row = static_cast<const char*>(p.table) + int64_t{p.step->tokens[t]} * p.row_bytes;
  for (int j = static_cast<int>(threadIdx.x); j < p.cols; j += kThreads)
    p.out[int64_t{t} * p.cols + j] = Element<type>(row, p.cols, j);
}

// --- Queries, keys and values. -------------------------------------------------------------------

constexpr int kMaxHeadDim = 256;

LLMQ_DEVICE float CacheValue(const void* row, bool half, int d) {
  return half ? FromHalf(static_cast<const uint16_t*>(row)[d]) : static_cast<const float*>(row)[d];
}
LLMQ_DEVICE void StoreCacheValue(void* row, bool half, int d, float value) {
  if (half) {
    static_cast<uint16_t*>(row)[d] = ToHalf(value);
  } else {
    static_cast<float*>(row)[d] = value;
  }
}
// A head's row of the cache.
LLMQ_DEVICE int64_t CacheOffset(int64_t capacity, int head_dim, bool half, int kv_head,
                                int64_t position) {
  return (kv_head * capacity + position) * head_dim * (half ? 2 : 4);
}

// 1 / rms of a warp's head [head_dim].
LLMQ_DEVICE float HeadInverse(const float* head, int head_dim, double eps) {
  float sum = 0;
  for (int d = Lane(); d < head_dim; d += kWarp) sum += head[d] * head[d];
  const double mean = static_cast<double>(WarpSum(sum)) / head_dim;
  return static_cast<float>(1.0 / sqrt(mean + eps));
}

// store(d, value) for all values of a head after its norm and its turn.
template <typename Store>
LLMQ_DEVICE void TurnHead(const RopeStoreParams& p, const float* head, const float* norm,
                          int64_t position, const Store& store) {
  const float inverse = norm != nullptr ? HeadInverse(head, p.head_dim, p.eps) : 1.0f;
  const auto value = [&](int d) {
    return norm != nullptr ? norm[d] * (head[d] * inverse) : head[d];
  };
  const int pairs = p.turned / 2;
  for (int i = Lane(); i < pairs; i += kWarp) {
    const int first = p.interleaved ? 2 * i : i;
    const int second = p.interleaved ? 2 * i + 1 : i + pairs;
    const float cos = p.cos[position * pairs + i];
    const float sin = p.sin[position * pairs + i];
    const float a = value(first);
    const float b = value(second);
    store(first, a * cos - b * sin);
    store(second, b * cos + a * sin);
  }
  for (int d = p.turned + Lane(); d < p.head_dim; d += kWarp) store(d, value(d));
}

// A warp takes one head of one token: queries first, then keys, then values.
LLMQ_KERNEL RopeStoreKernel(LLMQ_PARAMETER(RopeStoreParams) p) {
  const int heads = p.heads + 2 * p.kv_heads;
  for (int i = GlobalWarp(); i < p.tokens * heads; i += GlobalWarps()) {
    const int t = i / heads;
    const int head = i % heads;
    const int64_t position = int64_t{p.step->position} + t;
    if (head < p.heads) {
      float* q = p.q + (int64_t{t} * p.heads + head) * p.head_dim;
      TurnHead(p, q, p.q_norm, position, [&](int d, float value) { q[d] = value; });
      continue;
    }
    const bool key = head < p.heads + p.kv_heads;
    const int kv_head = (head - p.heads) % p.kv_heads;
    const int64_t from = (int64_t{t} * p.kv_heads + kv_head) * p.head_dim;
    const int64_t to = CacheOffset(p.capacity, p.head_dim, p.half, kv_head, position);
    if (key) {
      void* row = static_cast<char*>(p.keys) + to;
      TurnHead(p, p.k + from, p.k_norm, position,
               [&](int d, float value) { StoreCacheValue(row, p.half, d, value); });
    } else {
      void* row = static_cast<char*>(p.values) + to;
      for (int d = Lane(); d < p.head_dim; d += kWarp)
        StoreCacheValue(row, p.half, d, p.v[from + d]);
    }
  }
}

}  // namespace LLMQ_COMPILED_FOR
}  // namespace llmq::cuda

#endif  // LLMQ_CUDA_STEP_KERNELS_H_
