// From the order of signs in a file to the order of the kernels.
#ifndef LLMQ_KERNELS_SIGN_TILES_H_
#define LLMQ_KERNELS_SIGN_TILES_H_

#include "kernels/kernels.h"

namespace llmq {

// Bits as they are stored: bit c of a row is bit c % 8 of byte c / 8, rows are whole bytes and lie
// one after another. Bits past the last column may be anything.
struct SignBits {
  const uint8_t* bytes;  // [rows, (cols + 7) / 8]
  int64_t rows;
  int64_t cols;
};

// Rows of the bits become rows of the tiles. words [SignTileWords(rows, cols)], overwritten.
void PackRows(const SignBits& bits, uint32_t* words) noexcept;
// Columns of the bits become rows of the tiles. words [SignTileWords(cols, rows)], overwritten.
void PackColumns(const SignBits& bits, uint32_t* words) noexcept;

}  // namespace llmq

#endif  // LLMQ_KERNELS_SIGN_TILES_H_
