// A compressed layer on the GPU: both stages, both paths and all matrices that share an input, in
// one launch. docs/decisions/0010-cuda.md counts its bytes and operations.
//
// Before: cuda/launch.h. After: activations in device memory. Arithmetic of the CPU's 8-bit kernels
// (kernels_scalar.cc): inputs are rounded in blocks of 256, signs are added as integers. Only sums
// over blocks are added in another order, the same whatever the device.
//
// A warp takes 32 rows times 256 columns: a lane owns a row, so nothing is exchanged between lanes.
// Bit k of the bytes of a word, as a mask of 0 or 2^k, goes into a dot product of bytes with the
// inputs of those four columns, which all lanes read at once. k and k + 4 share a sum, the word
// shifted by four: two instructions add four signs.
#ifndef LLMQ_CUDA_COMPRESSED_KERNEL_H_
#define LLMQ_CUDA_COMPRESSED_KERNEL_H_

#include "cuda/device_language.h"
#include "cuda/input_values.h"
#include "cuda/kernel_params.h"
#include "cuda/rounded_inputs.h"

namespace llmq::cuda {
inline namespace LLMQ_COMPILED_FOR {

// Row blocks that a warp may take at once: reading four inputs from shared memory takes as long as
// two times four dot products, so two rows share what is read.
constexpr int kStrip = 2;
// Tokens whose sums are in registers at once.
template <int T>
constexpr int kTokensAtOnce = T < 8 ? T : 8;

// The memory that a block of threads shares.
template <int T>
struct CompressedShared {
  float* sums;        // [kWarps, kStrip, T, 32]
  float* squares;     // [T, kWarps]
  float* inverse;     // [T], 1 / rms of the input
  int32_t* prepared;  // [passes, T, kPreparedWords] of this warp

  static constexpr int kSums = kWarps * kStrip * T * kWarp;
  static constexpr int kFloats = kSums + T * kWarps + T;
  static constexpr int kFloatBytes = (kFloats * 4 + 15) / 16 * 16;
  static constexpr int Bytes(int passes) {
    return kFloatBytes + kWarps * passes * T * kPreparedWords * 4;
  }

  LLMQ_DEVICE static CompressedShared Of(int passes) {
    unsigned char* memory = SharedMemory();
    CompressedShared shared;
    shared.sums = reinterpret_cast<float*>(memory);
    shared.squares = shared.sums + kSums;
    shared.inverse = shared.squares + T * kWarps;
    shared.prepared = reinterpret_cast<int32_t*>(memory + kFloatBytes) +
                      WarpIndex() * passes * T * kPreparedWords;
    return shared;
  }
};

struct SignView {
  const uint32_t* words;  // as cuda/sign_layout.h
  int rows;
  int cols;
};

// A lane's words of one row block and one column block.
struct LaneWords {
  uint32_t word[8];
};

LLMQ_DEVICE LaneWords LoadLaneWords(const SignView& signs, int row_block, int col_block) {
  const int words = (signs.cols + 31) / 32;
  const uint32_t* base = signs.words + int64_t{row_block} * 32 * words;
  LaneWords out;
  LLMQ_UNROLL
  for (int chunk = 0; chunk < 2; ++chunk) {
    const int first = col_block * 8 + chunk * 4;
    if (first + 4 <= words) {
      const uint4 four = LoadWeights(reinterpret_cast<const uint4*>(base + first * 32) + Lane());
      out.word[chunk * 4] = four.x;
      out.word[chunk * 4 + 1] = four.y;
      out.word[chunk * 4 + 2] = four.z;
      out.word[chunk * 4 + 3] = four.w;
    } else {
      LLMQ_UNROLL
      for (int i = 0; i < 4; ++i) {
        out.word[chunk * 4 + i] =
            first + i < words ? LoadWeights(base + (first + i) * 32 + Lane()) : 0u;
      }
    }
  }
  return out;
}

// total[r][first + t] += scale (sum of signs times inputs) of one column block, for R row blocks
// and kTokensAtOnce tokens.
template <int T, int R>
LLMQ_DEVICE void AddTokens(const LaneWords (&words)[kStrip], bool second_half,
                           const int32_t* prepared, int first, float (&total)[kStrip][T]) {
  constexpr int N = kTokensAtOnce<T>;
  int sums[R][N][4] = {};
  const int32_t* inputs = prepared + first * kPreparedWords;
  LLMQ_UNROLL
  for (int i = 0; i < 8; ++i) {
    if (i >= 4 && !second_half) break;
    LLMQ_UNROLL
    for (int half = 0; half < 2; ++half) {
      LLMQ_UNROLL
      for (int t = 0; t < N; ++t) {
        const int4 x = reinterpret_cast<const int4*>(inputs + t * kPreparedWords)[i * 2 + half];
        LLMQ_UNROLL
        for (int r = 0; r < R; ++r) {
          const uint32_t word = words[r].word[i] >> (4 * half);
          int(&sum)[4] = sums[r][t];
          sum[0] = __dp4a(static_cast<int>(word & 0x01010101u), x.x, sum[0]);
          sum[1] = __dp4a(static_cast<int>(word & 0x02020202u), x.y, sum[1]);
          sum[2] = __dp4a(static_cast<int>(word & 0x04040404u), x.z, sum[2]);
          sum[3] = __dp4a(static_cast<int>(word & 0x08080808u), x.w, sum[3]);
        }
      }
    }
  }
  LLMQ_UNROLL
  for (int t = 0; t < N; ++t) {
    const int32_t* block = inputs + t * kPreparedWords;
    const float scale = BitsFloat(static_cast<unsigned>(block[kScaleWord]));
    LLMQ_UNROLL
    for (int r = 0; r < R; ++r) {
      const int(&sum)[4] = sums[r][t];
      const int negative = sum[0] + (sum[1] >> 1) + (sum[2] >> 2) + (sum[3] >> 3);
      total[r][first + t] += scale * static_cast<float>(block[kSumWord] - 2 * negative);
    }
  }
}

template <int T>
LLMQ_DEVICE void AddColBlock(const LaneWords (&words)[kStrip], bool both, bool second_half,
                             const int32_t* prepared, float (&total)[kStrip][T]) {
  LLMQ_UNROLL
  for (int first = 0; first < T; first += kTokensAtOnce<T>) {
    if (both) {
      AddTokens<T, 2>(words, second_half, prepared, first, total);
    } else {
      AddTokens<T, 1>(words, second_half, prepared, first, total);
    }
  }
}

// Which rows and columns a block of threads multiplies.
struct BlockRange {
  int first_row_block, row_blocks;
  int first_col_block, col_blocks;
};

// output(row, token, sum of signs times inputs over the range's columns) for every row of the
// range. values(column block, token, out[8]) gives a lane's 8 inputs. Warps stand side by side over
// the columns and, where these are few, below each other over the rows.
template <int T, typename Values, typename Output>
LLMQ_DEVICE void MultiplyBlock(const SignView& signs, const BlockRange& range, int tokens,
                               const CompressedShared<T>& shared, const Values& values,
                               const Output& output) {
  const int across = range.col_blocks < kWarps ? range.col_blocks : kWarps;
  const int down = kWarps / across;
  const int strip = range.row_blocks > down ? kStrip : 1;
  const int warp_col = WarpIndex() % across;
  const int warp_row = WarpIndex() / across;
  const int first_row = warp_row < down ? warp_row * strip : range.row_blocks;  // of this warp
  const int passes = (range.col_blocks - warp_col + across - 1) / across;
  const auto col_block = [&](int pass) { return range.first_col_block + warp_col + pass * across; };
  const auto load = [&](int row, int pass, LaneWords(&words)[kStrip]) {
    LLMQ_UNROLL
    for (int r = 0; r < kStrip; ++r) {
      if (r < strip && row + r < range.row_blocks)
        words[r] = LoadLaneWords(signs, range.first_row_block + row + r, col_block(pass));
    }
  };

  // The first weights are on their way while the inputs are made.
  LaneWords next[kStrip] = {};
  load(first_row, 0, next);
  for (int pass = 0; first_row < range.row_blocks && pass < passes; ++pass) {
    for (int t = 0; t < T; ++t) {
      float x[8] = {};
      if (t < tokens) values(col_block(pass), t, x);
      PrepareColBlock(x, shared.prepared + (pass * T + t) * kPreparedWords);
    }
  }
  __syncwarp();

  for (int above = 0; above < range.row_blocks; above += down * strip) {
    const int row = above + first_row;
    float total[kStrip][T] = {};
    for (int pass = 0; row < range.row_blocks && pass < passes; ++pass) {
      const LaneWords words[kStrip] = {next[0], next[1]};
      const bool more = pass + 1 < passes;
      load(more ? row : row + down * strip, more ? pass + 1 : 0, next);
      const bool second_half = col_block(pass) * kColBlock + kColBlock / 2 < signs.cols;
      const bool both = strip == kStrip && row + 1 < range.row_blocks;
      AddColBlock<T>(words, both, second_half, shared.prepared + pass * T * kPreparedWords, total);
    }
    LLMQ_UNROLL
    for (int r = 0; r < kStrip; ++r) {
      LLMQ_UNROLL
      for (int t = 0; t < T; ++t)
        shared.sums[((WarpIndex() * kStrip + r) * T + t) * kWarp + Lane()] = total[r][t];
    }
    __syncthreads();
    const int rows = down * strip * kRowBlock;
    for (int i = static_cast<int>(threadIdx.x); i < rows * tokens; i += kThreads) {
      const int out_row = i % rows;
      const int t = i / rows;
      const int block = out_row / kRowBlock;
      const int warp = block / strip * across;
      const float* column =
          shared.sums + ((warp * kStrip + block % strip) * T + t) * kWarp + out_row % kWarp;
      float sum = 0;
      for (int w = 0; w < across; ++w) sum += column[w * kStrip * T * kWarp];
      const int global_row = (range.first_row_block + above) * kRowBlock + out_row;
      if (above + block < range.row_blocks && global_row < signs.rows) output(global_row, t, sum);
    }
    __syncthreads();
  }
}

// Returns when every block of the grid is here; what they wrote before can then be read.
LLMQ_DEVICE void MeetAll(GridMeeting* meeting) {
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    const unsigned generation = LoadAcquire(&meeting->generation);
    if (atomicAdd(&meeting->arrived, 1u) == gridDim.x - 1) {
      atomicExch(&meeting->arrived, 0u);
      __threadfence();
      atomicAdd(&meeting->generation, 1u);
    } else {
      while (LoadAcquire(&meeting->generation) == generation) {
      }
    }
    __threadfence();
  }
  __syncthreads();
}

LLMQ_DEVICE void PrefetchSpans(const CompressedParams& p) {
  constexpr int64_t kLine = 128;
  const int64_t first = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  for (int i = 0; i < p.num_prefetch; ++i) {
    const auto* begin = static_cast<const char*>(p.prefetch[i].begin);
    for (int64_t at = first * kLine; at < p.prefetch[i].bytes; at += gridDim.x * kThreads * kLine)
      Prefetch(begin + at);
  }
}

// V (g x) of some rows and one span of the input -> partials.
template <int T>
LLMQ_DEVICE void FirstStage(const CompressedParams& p, int item,
                            const CompressedShared<T>& shared) {
  const int col_blocks = (p.d_in + kColBlock - 1) / kColBlock;
  for (int m = 0; m < p.num_matrices; ++m) {
    for (int i = 0; i < p.matrices[m].num_paths; ++i) {
      const PathParams& path = p.matrices[m].paths[i];
      const int row_blocks = (path.rank + kRowBlock - 1) / kRowBlock;
      const int items = (row_blocks + p.first_rows - 1) / p.first_rows * p.spans;
      if (item >= items) {
        item -= items;
        continue;
      }
      const int span = item % p.spans;
      const int row = item / p.spans * p.first_rows;
      const int col = span * kWarps;
      const BlockRange range = {row,
                                row_blocks - row < p.first_rows ? row_blocks - row : p.first_rows,
                                col, col_blocks - col < kWarps ? col_blocks - col : kWarps};
      float* out = p.partials + int64_t{span} * p.tokens * p.latents + path.latent;
      MultiplyBlock<T>(
          {path.v, path.rank, p.d_in}, range, p.tokens, shared,
          [&](int col_block, int t, float(&x)[8]) {
            const int first = col_block * kColBlock + Lane() * 8;
            InputValues(p.input, p.d_in, t, first, shared.inverse[t], x);
            ScaleValues(path.g, p.d_in, first, x);
          },
          [&](int out_row, int t, float sum) { out[int64_t{t} * p.latents + out_row] = sum; });
      return;
    }
  }
}

// A lane's 8 latents: sums over the spans of the input, in their order.
LLMQ_DEVICE void LatentValues(const CompressedParams& p, const PathParams& path, int t, int first,
                              float (&x)[8]) {
  if (first >= path.rank) return;
  float sum[8] = {};
  for (int span = 0; span < p.spans; ++span) {
    const float* from =
        p.partials + (int64_t{span} * p.tokens + t) * p.latents + path.latent + first;
    const float4 low = LoadShared(reinterpret_cast<const float4*>(from));
    const float4 high = LoadShared(reinterpret_cast<const float4*>(from) + 1);
    sum[0] += low.x;
    sum[1] += low.y;
    sum[2] += low.z;
    sum[3] += low.w;
    sum[4] += high.x;
    sum[5] += high.y;
    sum[6] += high.z;
    sum[7] += high.w;
  }
  LLMQ_UNROLL
  for (int i = 0; i < 8; ++i) x[i] = first + i < path.rank ? sum[i] : 0.0f;
  ScaleValues(path.l, path.rank, first, x);
}

// h (U (l t)) of some rows and all paths -> y.
template <int T>
LLMQ_DEVICE void SecondStage(const CompressedParams& p, int item,
                             const CompressedShared<T>& shared) {
  for (int m = 0; m < p.num_matrices; ++m) {
    const MatrixParams& matrix = p.matrices[m];
    const int row_blocks = (matrix.d_out + kRowBlock - 1) / kRowBlock;
    const int items = (row_blocks + p.second_rows - 1) / p.second_rows;
    if (item >= items) {
      item -= items;
      continue;
    }
    const int row = item * p.second_rows;
    const int rows = row_blocks - row < p.second_rows ? row_blocks - row : p.second_rows;
    for (int i = 0; i < matrix.num_paths; ++i) {
      const PathParams& path = matrix.paths[i];
      const bool add = i > 0 || matrix.accumulate;
      MultiplyBlock<T>(
          {path.u, matrix.d_out, path.rank},
          {row, rows, 0, (path.rank + kColBlock - 1) / kColBlock}, p.tokens, shared,
          [&](int col_block, int t, float(&x)[8]) {
            LatentValues(p, path, t, col_block * kColBlock + Lane() * 8, x);
          },
          [&](int out_row, int t, float sum) {
            float* y = matrix.y + int64_t{t} * matrix.d_out + out_row;
            float value = FromHalf(path.h[out_row]) * sum;
            if (i == 0 && matrix.bias != nullptr) value += matrix.bias[out_row];
            *y = add ? *y + value : value;
          });
    }
    return;
  }
}

// At most T tokens. For both stages, all blocks must be on the device at once.
template <int T>
LLMQ_KERNEL CompressedKernel(LLMQ_PARAMETER(CompressedParams) p) {
  const CompressedShared<T> shared = CompressedShared<T>::Of(p.passes);
  const int stride = static_cast<int>(gridDim.x);
  if (p.stages != Stages::kSecond) {
    PrefetchSpans(p);
    InverseRms<T>(p.input, p.d_in, p.tokens, shared.squares, shared.inverse);
    for (int item = static_cast<int>(blockIdx.x); item < p.first_items; item += stride)
      FirstStage<T>(p, item, shared);
  }
  if (p.stages == Stages::kBoth) MeetAll(p.meeting);
  if (p.stages != Stages::kFirst) {
    for (int item = static_cast<int>(blockIdx.x); item < p.second_items; item += stride)
      SecondStage<T>(p, item, shared);
  }
}

}  // namespace LLMQ_COMPILED_FOR
}  // namespace llmq::cuda

#endif  // LLMQ_CUDA_COMPRESSED_KERNEL_H_
