// What the AVX-512 versions of a product with signs share: reading inputs, walking blocks of rows.
// Included by files that are compiled with AVX-512 only; everything is local to the file.
#ifndef LLMQ_KERNELS_SIGN_ROWS_AVX512_H_
#define LLMQ_KERNELS_SIGN_ROWS_AVX512_H_

#include <immintrin.h>

#include "kernels/kernels.h"

namespace llmq {
namespace {

// All ones for the first n of 16 lanes.
inline __mmask16 FirstLanes(int64_t n) {
  return n >= 16 ? __mmask16{0xffff} : static_cast<__mmask16>((1u << (n < 0 ? 0 : n)) - 1);
}

// scale[j .. j + 16) * x[j .. j + 16), zeros from column `cols` on.
inline __m512 Scaled(const uint16_t* scale, const float* x, int64_t j, int64_t cols) {
  const __mmask16 lanes = FirstLanes(cols - j);
  const __m512 values = _mm512_maskz_loadu_ps(lanes, x + j);
  if (scale == nullptr) return values;
  return _mm512_mul_ps(_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, scale + j)), values);
}

// Words that are read after these, by the same place in the next blocks: blocks are too short for
// the processor to notice that they lie one after another. Past the end nothing happens.
inline void PrefetchAhead(const uint32_t* words) {
  _mm_prefetch(reinterpret_cast<const char*>(words), _MM_HINT_T1);
}

// A function that sums some blocks of rows: words of the first, prepared input, chunks -> sums.
using BlocksFunction = void (*)(const uint32_t* words, const std::byte* prepared, int64_t chunks,
                                __m512* out);

// Rows [begin, end), four blocks at a time and then the rest together.
template <BlocksFunction four, BlocksFunction three, BlocksFunction two, BlocksFunction one>
void ForEachBlocks(const SignTiles& signs, const std::byte* prepared, int64_t begin, int64_t end,
                   float* out) {
  constexpr BlocksFunction kFunctions[] = {one, two, three, four};
  const int64_t chunks = TileChunks(signs.cols);
  for (int64_t row = begin; row < end; row += 4 * kTileRows) {
    const int64_t left = TileBlocks(end - row);
    const int64_t blocks = left < 4 ? left : 4;
    __m512 sums[4];
    kFunctions[blocks - 1](signs.words + row * chunks, prepared, chunks, sums);
    for (int64_t i = 0; i < blocks; ++i) {
      const int64_t first = row + i * kTileRows;
      _mm512_mask_storeu_ps(out + first - begin, FirstLanes(end - first), sums[i]);
    }
  }
}

}  // namespace
}  // namespace llmq

#endif  // LLMQ_KERNELS_SIGN_ROWS_AVX512_H_
