// Lays signs out for the kernels, once, when a model is loaded.
//
// Before: core/littlebit's factors, both stored along the rank. After: kernels, which read the
// first stage's factor along the input and the second stage's along the rank.
#include "kernels/sign_tiles.h"

#include <algorithm>
#include <cstring>

namespace llmq {
namespace {

constexpr int64_t kByteRows = 8;   // rows of bits that become one byte of a word
constexpr int64_t kWordCols = 64;  // columns of bits taken at once

// Up to 8 bytes of row `row` from column `col` on, zeros past the last row and column.
uint64_t LoadBits(const SignBits& bits, int64_t row, int64_t col) {
  if (row >= bits.rows) return 0;
  const int64_t left = std::min(kWordCols, bits.cols - col);
  uint64_t word = 0;
  const uint8_t* from = bits.bytes + row * ((bits.cols + 7) / 8) + col / 8;
  std::memcpy(&word, from, static_cast<size_t>((left + 7) / 8));
  return left == kWordCols ? word : word & ((uint64_t{1} << left) - 1);
}

// Transposes, in each byte position of its own, the 8 x 8 bits of the 8 words.
void TransposeBytes(uint64_t* rows) {
  constexpr struct {
    int distance;
    uint64_t mask;
  } kSteps[] = {{4, 0x0f0f0f0f0f0f0f0f}, {2, 0x3333333333333333}, {1, 0x5555555555555555}};
  for (const auto& [distance, mask] : kSteps) {
    for (int i = 0; i < kByteRows; ++i) {
      if (i & distance) continue;
      uint64_t& low = rows[i];
      uint64_t& high = rows[i + distance];
      const uint64_t change = ((low >> distance) ^ high) & mask;
      high ^= change;
      low ^= change << distance;
    }
  }
}

}  // namespace

void PackRows(const SignBits& bits, uint32_t* words) noexcept {
  const int64_t chunks = TileChunks(bits.cols);
  for (int64_t row = 0; row < TileBlocks(bits.rows) * kTileRows; ++row) {
    uint32_t* out = words + row / kTileRows * chunks * kTileRows + row % kTileRows;
    for (int64_t chunk = 0; chunk < chunks; chunk += 2) {
      const uint64_t two = LoadBits(bits, row, chunk * kTileCols);
      out[chunk * kTileRows] = static_cast<uint32_t>(two);
      if (chunk + 1 < chunks) out[(chunk + 1) * kTileRows] = static_cast<uint32_t>(two >> 32);
    }
  }
}

void PackColumns(const SignBits& bits, uint32_t* words) noexcept {
  const int64_t chunks = TileChunks(bits.rows);
  const int64_t rows = TileBlocks(bits.cols) * kTileRows;  // of the tiles
  for (int64_t col = 0; col < bits.cols; col += kWordCols) {
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      uint64_t bytes[kTileCols / kByteRows][kByteRows];
      for (int64_t k = 0; k < kTileCols; ++k)
        bytes[k / kByteRows][k % kByteRows] = LoadBits(bits, chunk * kTileCols + k, col);
      for (auto& eight : bytes) TransposeBytes(eight);
      for (int64_t j = 0; j < std::min(kWordCols, rows - col); ++j) {
        uint32_t word = 0;
        for (int64_t b = 0; b < kTileCols / kByteRows; ++b) {
          const auto byte = static_cast<uint8_t>(bytes[b][j % kByteRows] >> (j / 8 * 8));
          word |= static_cast<uint32_t>(byte) << (8 * b);
        }
        words[((col + j) / kTileRows * chunks + chunk) * kTileRows + (col + j) % kTileRows] = word;
      }
    }
  }
}

}  // namespace llmq
