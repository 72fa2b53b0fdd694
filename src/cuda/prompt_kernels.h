// Compressed layers for many tokens: inputs are rounded once, then tensor cores add signs.
//
// Before: cuda/launch.h, for cuda/prompt_products. After: latents or activations in device memory.
// The arithmetic of compressed_kernel.h; sums over blocks of columns have the CPU's order, so every
// bit is the scalar kernels'.
#ifndef LLMQ_CUDA_PROMPT_KERNELS_H_
#define LLMQ_CUDA_PROMPT_KERNELS_H_

#include "cuda/device_language.h"
#include "cuda/input_values.h"
#include "cuda/kernel_params.h"
#include "cuda/rounded_inputs.h"

namespace llmq::cuda {
inline namespace LLMQ_COMPILED_FOR {

constexpr int kRoundSharedBytes = kWarps * kPreparedWords * 4 + (kWarps + 1) * 4;

// A block takes one token of one matrix, a warp one block of columns after the other.
LLMQ_KERNEL RoundKernel(LLMQ_PARAMETER(RoundParams) p) {
  auto* staged = reinterpret_cast<int32_t*>(SharedMemory());  // [kWarps, kPreparedWords]
  auto* squares = reinterpret_cast<float*>(staged + kWarps * kPreparedWords);
  float* inverse = squares + kWarps;
  const RoundParams::Rows& rows = p.rows[static_cast<int>(blockIdx.x) % p.num_rows];
  const int t = static_cast<int>(blockIdx.x) / p.num_rows;
  const InputParams input = InputOfToken(rows.input, rows.cols, t);
  InverseRms<1>(input, rows.cols, 1, squares, inverse);
  const int col_blocks = (rows.cols + kColBlock - 1) / kColBlock;
  int32_t* own = staged + WarpIndex() * kPreparedWords;
  for (int block = WarpIndex(); block < col_blocks; block += kWarps) {
    const int first = block * kColBlock + Lane() * 8;
    float x[8] = {};
    InputValues(input, rows.cols, 0, first, *inverse, x);
    ScaleValues(rows.scale, rows.cols, first, x);
    PrepareColBlock(x, own);
    __syncwarp();
    int32_t* out = rows.out + (int64_t{t} * col_blocks + block) * kPreparedWords;
    for (int i = Lane(); i <= kSumWord; i += kWarp) out[i] = own[i];
    __syncwarp();
  }
}

// --- Products of signs and rounded inputs. -------------------------------------------------------
//
// A warp takes 32 rows and 8 N tokens; N warps of a block below each other, the others beside them.
// The tensor cores multiply [16, 32] by [32, 8]. Which 32 columns these are is free, as long as
// both sides agree: lane 4 g + i brings word i of a chunk of 128 columns, for the rows g, g + 8,
// ..., and bits b, b + 8, b + 16, b + 24 of a word are the columns of word b of the rounded inputs.

constexpr int kTileTokens = 8 * kWarps;  // of a block of threads

struct TileInputs {
  int4 low, high;  // words 0..3 and 4..7 of 32 columns
};
LLMQ_DEVICE uint32_t WordOf(const int4& four, int i) {
  return static_cast<uint32_t>(i == 0 ? four.x : i == 1 ? four.y : i == 2 ? four.z : four.w);
}

// sums[r][n] += set bits times inputs, of rows 16 r + [0, 16) and tokens 8 n + [0, 8).
template <int N>
LLMQ_DEVICE void AddChunk(const uint32_t (&word)[4], const TileInputs (&inputs)[N],
                          int (&sums)[2][N][4]) {
  constexpr uint32_t kBits = 0x01010101u;
  LLMQ_UNROLL
  for (int b = 0; b < 4; ++b) {
    LLMQ_UNROLL
    for (int r = 0; r < 2; ++r) {
      const uint32_t upper = word[2 * r] >> b;
      const uint32_t lower = word[2 * r + 1] >> b;
      const uint32_t bits[4] = {upper & kBits, lower & kBits, upper >> 4 & kBits,
                                lower >> 4 & kBits};
      LLMQ_UNROLL
      for (int n = 0; n < N; ++n) {
        const uint32_t bytes[2] = {WordOf(inputs[n].low, b), WordOf(inputs[n].high, b)};
        MultiplyAdd(bits, bytes, sums[r][n]);
      }
    }
  }
}

// This warp's rows and tokens of a product.
template <int N>
struct ProductTile {
  const SignProductParams::Matrix& matrix;
  int tokens;
  int row_block;    // of 32 rows
  int first_token;  // of 8 N

  LLMQ_DEVICE int words() const { return (matrix.cols + 31) / 32; }
  LLMQ_DEVICE int col_blocks() const { return (matrix.cols + kColBlock - 1) / kColBlock; }

  // Words of rows Lane() / 4 + 8 i of the chunk that begins at word `first`.
  LLMQ_DEVICE void LoadSigns(int first, uint32_t (&word)[4]) const {
    const uint32_t* base = matrix.signs + int64_t{row_block} * kRowBlock * words();
    const int place = Lane() % 4;
    const bool whole = first + 4 <= words();
    LLMQ_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int row = Lane() / 4 + 8 * i;
      const int at =
          whole ? first * kRowBlock + row * 4 + place : (first + place) * kRowBlock + row;
      word[i] = first + place < words() ? base[at] : 0u;
    }
  }

  // A token's rounded inputs of one block of columns. There is none past the last.
  LLMQ_DEVICE const int32_t* Inputs(int token, int block) const {
    const int t = first_token + token < tokens ? first_token + token : tokens - 1;
    return matrix.inputs + (t * col_blocks() + block) * kPreparedWords;
  }

  LLMQ_DEVICE void AddColBlock(int block, float (&total)[2][N][4]) const {
    int sums[2][N][4] = {};
    LLMQ_UNROLL
    for (int chunk = 0; chunk < 2; ++chunk) {
      const int first = block * 8 + chunk * 4;
      if (first >= words()) break;
      uint32_t word[4];
      LoadSigns(first, word);
      TileInputs inputs[N];
      LLMQ_UNROLL
      for (int n = 0; n < N; ++n) {
        const auto* of_token = reinterpret_cast<const int4*>(Inputs(8 * n + Lane() / 4, block));
        const int4* at = of_token + 2 * (chunk * 4 + Lane() % 4);
        inputs[n] = {at[0], at[1]};
      }
      AddChunk<N>(word, inputs, sums);
    }
    LLMQ_UNROLL
    for (int n = 0; n < N; ++n) {
      LLMQ_UNROLL
      for (int side = 0; side < 2; ++side) {
        const int32_t* of_token = Inputs(8 * n + Lane() % 4 * 2 + side, block);
        const float scale = BitsFloat(static_cast<unsigned>(of_token[kScaleWord]));
        const int sum = of_token[kSumWord];
        LLMQ_UNROLL
        for (int i = side; i < 4; i += 2) {
          total[0][n][i] += scale * static_cast<float>(sum - 2 * sums[0][n][i]);
          total[1][n][i] += scale * static_cast<float>(sum - 2 * sums[1][n][i]);
        }
      }
    }
  }

  LLMQ_DEVICE void Store(int row, int t, float sum) const {
    if (row >= matrix.rows || t >= tokens) return;
    float* out = matrix.out + int64_t{t} * matrix.rows + row;
    float value = matrix.h != nullptr ? FromHalf(matrix.h[row]) * sum : sum;
    if (matrix.bias != nullptr) value += matrix.bias[row];
    *out = matrix.accumulate ? *out + value : value;
  }

  LLMQ_DEVICE void Compute() const {
    float total[2][N][4] = {};
    for (int block = 0; block < col_blocks(); ++block) AddColBlock(block, total);
    LLMQ_UNROLL
    for (int r = 0; r < 2; ++r) {
      LLMQ_UNROLL
      for (int n = 0; n < N; ++n) {
        LLMQ_UNROLL
        for (int i = 0; i < 4; ++i) {
          Store(row_block * kRowBlock + 16 * r + i / 2 * 8 + Lane() / 4,
                first_token + 8 * n + Lane() % 4 * 2 + i % 2, total[r][n][i]);
        }
      }
    }
  }
};

template <int N>
LLMQ_KERNEL SignProductKernel(LLMQ_PARAMETER(SignProductParams) p) {
  int item = static_cast<int>(blockIdx.x);
  const int tiles = (p.tokens + kTileTokens - 1) / kTileTokens;
  for (int m = 0; m < p.num_matrices; ++m) {
    const int row_blocks = (p.matrices[m].rows + kRowBlock - 1) / kRowBlock;
    const int items = (row_blocks + N - 1) / N * tiles;
    if (item >= items) {
      item -= items;
      continue;
    }
    const int row_block = item / tiles * N + WarpIndex() % N;
    const int token = item % tiles * kTileTokens + WarpIndex() / N * 8 * N;
    // Whole warps leave, and there is no barrier.
    if (row_block >= row_blocks || token >= p.tokens) return;
    ProductTile<N>{p.matrices[m], p.tokens, row_block, token}.Compute();
    return;
  }
}

}  // namespace LLMQ_COMPILED_FOR
}  // namespace llmq::cuda

#endif  // LLMQ_CUDA_PROMPT_KERNELS_H_
