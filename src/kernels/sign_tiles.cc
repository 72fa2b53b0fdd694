// Lays signs out for the kernels, once, when a model is loaded.
//
// Before: core/littlebit's factors, both stored along the rank. After: kernels, which read the
// first stage's factor along the input and the second stage's along the rank.
#include "kernels/sign_tiles.h"

#include <algorithm>
#include <cstring>

namespace llmq {
namespace {

// Bits are taken 128 columns at a time, as a vector that every x86-64 and aarch64 has.
constexpr int64_t kVectorCols = 128;
typedef uint64_t Longs __attribute__((vector_size(16)));
typedef uint32_t Words __attribute__((vector_size(16)));
typedef uint16_t Shorts __attribute__((vector_size(16)));
typedef uint8_t Bytes __attribute__((vector_size(16)));
constexpr int64_t kByteRows = 8;  // rows of bits that become one byte of a word
constexpr int64_t kWordBytes = kTileCols / kByteRows;
constexpr int64_t kLanes = 4;  // words in a vector

// Columns [col, col + 128) of a row, zeros past the last row and column.
Words LoadBits(const SignBits& bits, int64_t row, int64_t col) {
  Words loaded{};
  const int64_t left = bits.cols - col;
  if (row >= bits.rows || left <= 0) return loaded;
  const uint8_t* from = bits.bytes + row * ((bits.cols + 7) / 8) + col / 8;
  if (left >= kVectorCols) {
    std::memcpy(&loaded, from, sizeof(loaded));
    return loaded;
  }
  uint8_t bytes[kVectorCols / 8] = {};
  std::memcpy(bytes, from, static_cast<size_t>((left + 7) / 8));
  if (left % 8 != 0) bytes[left / 8] &= static_cast<uint8_t>((1u << (left % 8)) - 1);
  std::memcpy(&loaded, bytes, sizeof(loaded));
  return loaded;
}

// Lane j of vector i becomes lane i of vector j.
void TransposeWords(Words* v) {
  const Words a = __builtin_shufflevector(v[0], v[1], 0, 4, 1, 5);
  const Words b = __builtin_shufflevector(v[2], v[3], 0, 4, 1, 5);
  const Words c = __builtin_shufflevector(v[0], v[1], 2, 6, 3, 7);
  const Words d = __builtin_shufflevector(v[2], v[3], 2, 6, 3, 7);
  v[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
  v[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
  v[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
  v[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
}

// In each byte position of its own, the 8 x 8 bits of the 8 vectors: a byte of vector q holds what
// the 8 bytes held in bit q.
void TransposeBits(Longs* rows) {
  constexpr struct {
    int distance;
    uint64_t mask;
  } kSteps[] = {{4, 0x0f0f0f0f0f0f0f0f}, {2, 0x3333333333333333}, {1, 0x5555555555555555}};
  for (const auto& [distance, mask] : kSteps) {
    for (int i = 0; i < kByteRows; ++i) {
      if (i & distance) continue;
      Longs& low = rows[i];
      Longs& high = rows[i + distance];
      const Longs change = ((low >> distance) ^ high) & mask;
      high ^= change;
      low ^= change << distance;
    }
  }
}

// Byte p of the four vectors becomes word p of the sixteen in `words`.
void InterleaveBytes(Bytes a, Bytes b, Bytes c, Bytes d, Words* words) {
  const auto low = [](Bytes x, Bytes y) {
    return Shorts(
        __builtin_shufflevector(x, y, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
  };
  const auto high = [](Bytes x, Bytes y) {
    return Shorts(__builtin_shufflevector(x, y, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14,
                                          30, 15, 31));
  };
  const auto both = [](Shorts x, Shorts y, Words* to) {
    to[0] = Words(__builtin_shufflevector(x, y, 0, 8, 1, 9, 2, 10, 3, 11));
    to[1] = Words(__builtin_shufflevector(x, y, 4, 12, 5, 13, 6, 14, 7, 15));
  };
  both(low(a, b), low(c, d), words);
  both(high(a, b), high(c, d), words + 2);
}

// 32 rows and 128 columns, transposed: `to` is the chunk's place in the columns' first block of 16,
// `blocks` of which are there, `stride` words apart.
void TransposeChunk(const SignBits& bits, int64_t row, int64_t col, int64_t blocks, int64_t stride,
                    uint32_t* to) {
  Longs rows[kTileCols];
  for (int64_t i = 0; i < kTileCols; ++i) rows[i] = Longs(LoadBits(bits, row + i, col));
  for (int64_t i = 0; i < kTileCols; i += kByteRows) TransposeBits(rows + i);
  for (int64_t q = 0; q < kByteRows; q += kLanes) {  // bits of a byte
    Words words[kLanes][kLanes];                     // [q, byte / 4] of bytes [byte % 4]
    for (int64_t i = 0; i < kLanes; ++i) {
      const Longs* at = rows + q + i;
      InterleaveBytes(Bytes(at[0]), Bytes(at[8]), Bytes(at[16]), Bytes(at[24]), words[i]);
    }
    for (int64_t four = 0; four < kLanes; ++four) {
      Words columns[] = {words[0][four], words[1][four], words[2][four], words[3][four]};
      TransposeWords(columns);
      for (int64_t i = 0; i < kLanes; ++i) {
        const int64_t column = (four * kLanes + i) * kByteRows + q;
        if (column / kTileRows < blocks)
          std::memcpy(to + column / kTileRows * stride + column % kTileRows, &columns[i], 16);
      }
    }
  }
}

}  // namespace

void PackRows(const SignBits& bits, uint32_t* words) noexcept {
  const int64_t chunks = TileChunks(bits.cols);
  for (int64_t block = 0; block < TileBlocks(bits.rows); ++block) {
    for (int64_t chunk = 0; chunk < chunks; chunk += kLanes) {
      for (int64_t i = 0; i < kTileRows; i += kLanes) {
        Words rows[kLanes];
        for (int64_t k = 0; k < kLanes; ++k)
          rows[k] = LoadBits(bits, block * kTileRows + i + k, chunk * kTileCols);
        TransposeWords(rows);
        for (int64_t k = 0; k < kLanes && chunk + k < chunks; ++k)
          std::memcpy(words + (block * chunks + chunk + k) * kTileRows + i, &rows[k], 16);
      }
    }
  }
}

void PackColumns(const SignBits& bits, uint32_t* words) noexcept {
  const int64_t chunks = TileChunks(bits.rows), blocks = TileBlocks(bits.cols);
  for (int64_t col = 0; col < bits.cols; col += kVectorCols) {
    const int64_t block = col / kTileRows;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      TransposeChunk(bits, chunk * kTileCols, col, blocks - block, chunks * kTileRows,
                     words + (block * chunks + chunk) * kTileRows);
    }
  }
}

}  // namespace llmq
