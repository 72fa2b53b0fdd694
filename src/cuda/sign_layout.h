// Signs in the order in which the GPU reads them.
//
// Before: tiles of the CPU's kernels. After: cuda/compressed_kernel.h. Blocks of 32 rows, a row for
// each lane of a warp; in a block chunks of 128 columns, in a chunk four 32-bit words per row: a
// warp reads 512 bytes at once, 16 per lane. The words behind the last whole chunk follow one by
// one, each for 32 rows. Bit c % 32 of a word is column c; 1 means -1; what is padded is 0.
#ifndef LLMQ_CUDA_SIGN_LAYOUT_H_
#define LLMQ_CUDA_SIGN_LAYOUT_H_

#include <cstdint>
#include <span>

#include "kernels/kernels.h"

namespace llmq::cuda {

// Words of a row, and of all rows.
constexpr int64_t SignRowWords(int64_t cols) { return (cols + 31) / 32; }
constexpr int64_t SignWords(int64_t rows, int64_t cols) {
  return (rows + 31) / 32 * 32 * SignRowWords(cols);
}
constexpr int64_t SignWordIndex(int64_t cols, int64_t row, int64_t word) {
  const int64_t words = SignRowWords(cols);
  const int64_t whole = words / 4 * 4;
  const int64_t block = row / 32 * 32 * words;
  const int64_t lane = row % 32;
  return word < whole ? block + word / 4 * 128 + lane * 4 + word % 4 : block + word * 32 + lane;
}

// words [SignWords(rows, cols)], overwritten.
void LayOutSigns(const SignTiles& tiles, std::span<uint32_t> words);

}  // namespace llmq::cuda

#endif  // LLMQ_CUDA_SIGN_LAYOUT_H_
